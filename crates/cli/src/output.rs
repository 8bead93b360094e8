//! How answers and progress look: aligned columns, one accent, colour only where a terminal wants it, JSON where asked for.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use console::{Style, style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;

/// Where and how to speak.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub(crate) fn new(json: bool, quiet: bool) -> Self {
        let plain = json || std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        if plain {
            console::set_colors_enabled(false);
            console::set_colors_enabled_stderr(false);
        }
        Self { json, quiet }
    }

    /// Whether an answer for people may be in colour.
    pub(crate) fn colours(self) -> bool {
        console::colors_enabled()
    }

    /// The answer: `value` for programs, what `people` writes for people.
    pub(crate) fn answer(self, value: &Value, people: impl FnOnce(&mut Page)) {
        if self.json {
            write_out(&format!("{value:#}\n"));
            return;
        }
        let mut page = Page::default();
        people(&mut page);
        write_out(&page.text);
    }

    /// A line beside the answer, on standard error.
    pub(crate) fn note(self, text: &str) {
        if !self.json && !self.quiet {
            let _ = writeln!(std::io::stderr(), "{text}");
        }
    }

    /// A warning: printed even when quiet.
    pub(crate) fn warn(self, text: &str) {
        if !self.json {
            let amber = Style::new().for_stderr().color256(172);
            let _ = writeln!(std::io::stderr(), "{} {text}", amber.apply_to("warning:"));
        }
    }

    /// Why there is no answer.
    pub(crate) fn failure(self, failure: &Failure) {
        if self.json {
            let Failure { exit, code, what, hint } = failure;
            let error = json!({ "error": { "code": code, "what": what, "do": hint, "exit": *exit as u8 } });
            write_out(&format!("{error:#}\n"));
            return;
        }
        let brick = Style::new().for_stderr().color256(131).bold();
        let mut stderr = std::io::stderr();
        let _ = writeln!(stderr, "{} {}", brick.apply_to("error:"), sentence(&failure.what));
        let _ = writeln!(stderr, "       {}", sentence(&failure.hint));
    }

    /// A progress bar on standard error with rate and time left; hidden without a terminal, with `--json` and `--quiet`.
    pub(crate) fn bar(self, length: u64, what: &str) -> ProgressBar {
        let bar = ProgressBar::with_draw_target(Some(length), self.target());
        let template = "{msg}  {bar:30.30/white.dim} {human_pos} of {human_len}  {per_sec}  {eta} left";
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()).progress_chars("━━─"),
        );
        bar.set_message(what.to_owned());
        bar
    }

    /// A sign of life for waits of unknown length.
    pub(crate) fn spinner(self, what: &str) -> ProgressBar {
        let spinner = ProgressBar::with_draw_target(None, self.target());
        let style = ProgressStyle::with_template("{spinner:.30} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
        spinner.set_style(style);
        spinner.set_message(what.to_owned());
        spinner.enable_steady_tick(Duration::from_millis(120));
        spinner
    }

    fn target(self) -> ProgressDrawTarget {
        if self.json || self.quiet || !std::io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        }
    }
}

/// An answer for people, line by line.
#[derive(Debug, Default)]
pub(crate) struct Page {
    text: String,
}

impl Page {
    /// The first line: what happened. `sign` such as `✓` repeats in a sign what the words say.
    pub(crate) fn headline(&mut self, good: bool, text: &str) {
        let (sign, colour) = if good { ("✓", 30) } else { ("✗", 131) };
        self.text += &format!("{} {}\n", style(sign).color256(colour).bold(), style(text).bold());
    }
    /// A heading within the answer.
    pub(crate) fn heading(&mut self, text: &str) {
        self.text += &format!("\n{}\n", style(text).color256(30).bold());
    }
    /// A labelled value.
    pub(crate) fn row(&mut self, label: &str, value: impl std::fmt::Display) {
        self.text += &format!("  {}  {value}\n", style(format!("{label:<14}")).dim());
    }
    /// What was written so far.
    pub(crate) fn text(&self) -> &str {
        self.text.trim_end()
    }
    /// A line of text.
    pub(crate) fn line(&mut self, text: impl std::fmt::Display) {
        self.text += &format!("{text}\n");
    }
}

/// Standard output may be a closed pipe: then nobody wants to read more.
pub(crate) fn write_out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Begins with a capital and ends with a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(char::to_uppercase).map(String::from_iter).unwrap_or_default();
    let rest = chars.as_str();
    let end = if rest.ends_with(['.', '?', '!', ':']) { "" } else { "." };
    // A path keeps its spelling.
    if text.starts_with(['/', '.', '-']) || text.split([':', ' ']).next().is_some_and(|word| word.contains(['/', '.'])) {
        return format!("{text}{end}");
    }
    format!("{first}{rest}{end}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_begin_and_end_as_sentences_do() {
        assert_eq!(sentence("node 2 does not answer"), "Node 2 does not answer.");
        assert_eq!(sentence("me.jpg: there is no such file"), "me.jpg: there is no such file.");
        assert_eq!(sentence("Look up."), "Look up.");
    }
}
