//! `commons completions`.

use clap::CommandFactory;

use crate::args::{Arguments, Completions};
use crate::failure::Exit;
use crate::output::{Output, write_out};

/// Writes the completion script, which is the same with and without `--json`.
pub(crate) fn run(_out: Output, args: &Completions) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "commons", &mut script);
    write_out(&String::from_utf8_lossy(&script));
    Exit::Yes
}
