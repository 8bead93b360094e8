//! Running other programs, and installing the few that a chore needs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::root;

/// `cargo`, the one that runs us, in the checkout.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: &[S]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// Runs `command` to its end; its standard output becomes our standard error, so that ours stays free for data.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    command.stdout(std::io::stderr());
    finish(command)
}

/// Runs `command` to its end with our own standard output.
pub(crate) fn run_through(command: &mut Command) -> Result<()> {
    finish(command)
}

fn finish(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("could not start {}", shown(command)))?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// Runs `command`, hands each line of its standard output to `each` as it comes, and prints it.
pub(crate) fn run_lines(command: &mut Command, mut each: impl FnMut(&str)) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("could not start {}", shown(command)))?;
    let output = child.stdout.take().context("the program's output was not connected")?;
    let mut out = std::io::stdout().lock();
    for line in BufReader::new(output).split(b'\n') {
        let line = line?;
        out.write_all(&line)?;
        out.write_all(b"\n")?;
        each(&String::from_utf8_lossy(&line));
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} ended with {status}", shown(command));
    }
    Ok(())
}

/// What `command` prints.
pub(crate) fn output(command: &mut Command) -> Result<Vec<u8>> {
    let out = command.stderr(Stdio::inherit()).output().with_context(|| format!("could not start {}", shown(command)))?;
    if !out.status.success() {
        bail!("{} ended with {}", shown(command), out.status);
    }
    Ok(out.stdout)
}

/// Does this program run and answer at all?
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Makes sure that `program` answers, installing Debian's `packages` where we may; else says what to install.
pub(crate) fn need(program: &str, arguments: &[&str], packages: &[&str]) -> Result<()> {
    if works(program, arguments) {
        return Ok(());
    }
    let packages = packages.join(" ");
    let by_hand = format!("install it (on Debian: sudo apt-get install {packages}), then run this again");
    if !works("apt-get", &["--version"]) || !is_root() {
        bail!("needs {program}: {by_hand}");
    }
    eprintln!("x: installing Debian packages: {packages}");
    let mut apt = Command::new("sh");
    apt.arg("-c").arg(format!("apt-get update && apt-get install -y --no-install-recommends {packages}"));
    run(apt.env("DEBIAN_FRONTEND", "noninteractive").stdin(Stdio::null()))
        .with_context(|| format!("needs {program}: {by_hand}"))?;
    if !works(program, arguments) {
        bail!("installed {packages}, yet `{program}` does not run");
    }
    Ok(())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|out| out.stdout.trim_ascii() == b"0")
}

fn shown(command: &Command) -> String {
    let mut text =
        std::path::Path::new(command.get_program()).file_name().unwrap_or_default().to_string_lossy().into_owned();
    for argument in command.get_args() {
        text.push(' ');
        text.push_str(&argument.to_string_lossy());
    }
    text
}
