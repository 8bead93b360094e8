//! `commons`, the binary for people: runs a commons on this machine, enrols, verifies, shows what is stored, withdraws.
//!
//! Every command prints an answer for people or, with `--json`, one object; progress goes to standard error. **Out of scope**:
//! running a node for others (`commons-node`).

mod args;
mod assets;
mod bench;
mod commands;
mod context;
mod demo;
mod evaluate;
mod failure;
mod home;
mod noise;
mod output;
mod sample;
mod sheet;
mod words;

use clap::Parser;

use args::{Arguments, Command};
use context::Context;
use failure::{Exit, Failure};
use output::Output;

fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let out = Output::new(arguments.global.json, arguments.global.quiet);
    let exit = run(out, arguments).unwrap_or_else(|failure| {
        out.failure(&failure);
        failure.exit
    });
    exit.into()
}

fn run(out: Output, arguments: Arguments) -> Result<Exit, Failure> {
    if let Command::Completions(args) = &arguments.command {
        return Ok(commands::completions::run(out, args));
    }
    // For tests and comparisons; the answers are the same with every kernel.
    mpc::kernel::select(std::env::var("COMMONS_KERNEL").ok().as_deref())
        .map_err(|error| Failure::message(Exit::Input, "kernel", &error.to_string()).about("COMMONS_KERNEL"))?;
    let context = Context::new(out, arguments.global)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|_| Failure::input("this system gave no threads to work with", "close other programs and try again"))?;
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Dev(args) => commands::dev::run(&context, args).await,
            Command::Enrol(args) if args.bulk.is_some() => commands::bulk::run(&context, args).await,
            Command::Enrol(args) => commands::enrol::run(&context, args).await,
            Command::Verify(args) => commands::verify::run(&context, args).await,
            Command::Status(_) => commands::status::run(&context).await,
            Command::Withdraw(args) => commands::withdraw::run(&context, args).await,
            Command::Inspect(_) => commands::inspect::run(&context).await,
            Command::Demo(args) => demo::run(&context, &args).await,
            Command::Evaluate(args) => evaluate::run(&context, &args),
            Command::Bench(args) => bench::run(&context, &args).await,
            Command::Completions(args) => Ok(commands::completions::run(out, &args)),
        }
    });
    result.map_err(|failure| context.explain(failure))
}
