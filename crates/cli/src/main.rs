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
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    let out = Output::new(arguments.global.json, arguments.global.quiet);
    let exit = run(out, arguments).unwrap_or_else(|failure| {
        out.failure(&failure);
        failure.exit
    });
    exit.into()
}

/// A command line that cannot be used, in the form that the caller asked for.
fn misused(error: &clap::Error) -> std::process::ExitCode {
    let json = std::env::args_os().take_while(|argument| argument != "--").any(|argument| argument == "--json");
    if json && error.use_stderr() {
        let text = error.render().to_string();
        let what = text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
        let what = what.trim_start_matches("error: ").to_owned();
        let failure = Failure::input(what, "see the same command with --help").coded("usage");
        Output::new(true, true).failure(&failure);
        return failure.exit.into();
    }
    let _ = error.print();
    if error.use_stderr() { Exit::Input.into() } else { Exit::Yes.into() }
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
            Command::Renew(args) => commands::renew::run(&context, args).await,
            Command::Status(_) => commands::status::run(&context).await,
            Command::Withdraw(args) => commands::withdraw::run(&context, args).await,
            Command::Inspect(_) => commands::inspect::run(&context).await,
            Command::Roster(args) => commands::roster::run(&context, &args.command),
            Command::Charter(args) => commands::charter::run(&context, args.command).await,
            Command::Grant(args) => commands::grant::give(&context, args).await,
            Command::Grants(_) => commands::grant::list(&context).await,
            Command::Narrow(args) => commands::grant::narrow(&context, args).await,
            Command::Revoke(args) => commands::grant::revoke(&context, args).await,
            Command::Requests(args) => commands::requests::list(&context, args).await,
            Command::Approve(args) => commands::requests::approve(&context, args).await,
            Command::Refuse(args) => commands::requests::refuse(&context, args).await,
            Command::Ledger(args) => commands::ledger::run(&context, args).await,
            Command::Shield(args) => commands::shield::run(&context, args.command).await,
            Command::Receipts(args) => commands::receipts::run(&context, args.command),
            Command::Audit(_) => commands::audit::run(&context).await,
            Command::Monitor(args) => commands::monitor::run(&context, args).await,
            Command::Evidence(args) => commands::evidence::run(&context, args).await,
            Command::Vouch(args) => commands::vouch::run(&context, args).await,
            Command::Guardians(args) => commands::guardians::run(&context, args.command).await,
            Command::Guardian(args) => commands::guardian::run(&context, args.command),
            Command::Recover(args) => commands::recover::run(&context, args.command).await,
            Command::Party(args) => commands::party::run(&context, args.command).await,
            Command::Persona(args) => commands::persona::run(&context, args.command).await,
            Command::Context(args) => commands::verifier::run(&context, args.command),
            Command::SignIn(args) => commands::persona::sign_in(&context, args).await,
            Command::Wallet(args) => commands::wallet::run(&context, args.command).await,
            Command::Challenge(args) => commands::verifier::challenge(&context, &args),
            Command::VerifyProof(args) => commands::verifier::verify(&context, &args),
            Command::Demo(args) => demo::run(&context, &args).await,
            Command::Evaluate(args) => evaluate::run(&context, &args),
            Command::Bench(args) => bench::run(&context, &args).await,
            Command::Completions(args) => Ok(commands::completions::run(out, &args)),
        }
    });
    result.map_err(|failure| context.explain(failure))
}
