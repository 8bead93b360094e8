//! Which crate may depend on which, read from `cargo metadata`.
//!
//! The order is types; the pure cores; client, node and oidc; cli, sim and wasm (the client for the browser, which never reaches
//! `node`). A crate may depend only on crates of an earlier layer, so cores stay independent of each other, and client, node and
//! oidc too. **`node` never reaches `biometric`**, by any path: the binary
//! an operator runs holds no code that can read a template.
#![expect(clippy::print_stdout, reason = "a command-line program")]

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::programs;

/// The layers, lowest first.
const LAYERS: [&[&str]; 4] = [
    &["types"],
    &["biometric", "mpc", "tlog", "charter", "credential"],
    &["client", "node", "oidc"],
    &["cli", "sim", "wasm"],
];

/// Crates that do no I/O and read no clock: what they must not link, at any depth.
const PURE: [&str; 6] = ["types", "biometric", "mpc", "tlog", "charter", "credential"];
const IMPURE: [&str; 10] =
    ["tokio", "axum", "hyper", "reqwest", "sqlx", "rustls", "mio", "socket2", "tracing-subscriber", "chrono"];
/// What they must not name themselves. A library below them may link it for features that they do not use; their
/// `clippy.toml` forbids the calls.
const IMPURE_DIRECTLY: [&str; 3] = ["getrandom", "rand", "tempfile"];

/// Chores and workspace members outside the layers.
const OUTSIDE: [&str; 1] = ["xtask"];

/// Names to the names they depend on; build and normal dependencies, not those of tests.
type Edges = BTreeMap<String, BTreeSet<String>>;

/// Fails on the first edge that may not be, and otherwise prints the picture.
pub(crate) fn print() -> Result<()> {
    let edges = edges()?;
    check(&edges)?;
    for layer in LAYERS.iter().rev() {
        for name in *layer {
            let own = |other: &&String| LAYERS.iter().any(|l| l.contains(&other.as_str()));
            let uses: Vec<&str> = edges.get(*name).into_iter().flatten().filter(own).map(String::as_str).collect();
            println!("{name:<10} -> {}", if uses.is_empty() { "nothing of ours".to_owned() } else { uses.join(", ") });
        }
    }
    Ok(())
}

fn edges() -> Result<Edges> {
    let json = programs::output(&mut programs::cargo(&["metadata", "--format-version", "1", "--locked"]))?;
    let metadata: Value = serde_json::from_slice(&json).context("cargo metadata did not print JSON")?;
    let packages = list(&metadata, "/packages");
    let names: BTreeMap<&str, &str> = packages.iter().map(|p| (text(p, "/id"), text(p, "/name"))).collect();
    let name = |id: &str| names.get(id).map_or_else(String::new, |name| (*name).to_owned());
    let mut edges = Edges::new();
    for node in list(&metadata, "/resolve/nodes") {
        let uses = edges.entry(name(text(node, "/id"))).or_default();
        for dependency in list(node, "/deps") {
            if list(dependency, "/dep_kinds").iter().any(|kind| text(kind, "/kind") != "dev") {
                uses.insert(name(text(dependency, "/pkg")));
            }
        }
    }
    Ok(edges)
}

fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

fn check(edges: &Edges) -> Result<()> {
    let layer_of = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    for (name, uses) in edges {
        let Some(layer) = layer_of(name) else { continue };
        for used in uses {
            if let Some(lower) = layer_of(used)
                && lower >= layer
            {
                bail!(
                    "{name} depends on {used}, which is not below it; see ARCHITECTURE.md for the direction of dependencies"
                );
            }
            if OUTSIDE.contains(&used.as_str()) {
                bail!("{name} depends on {used}, which is for chores only");
            }
        }
    }
    if reaches(edges, "node", "biometric") {
        bail!("node reaches biometric: an operator's binary must hold no code that can read a template");
    }
    if reaches(edges, "wasm", "node") {
        bail!("wasm reaches node: a member's client holds nothing of a node");
    }
    for pure in PURE {
        let uses = edges.get(pure).into_iter().flatten();
        if let Some(impure) = uses.map(String::as_str).find(|used| IMPURE_DIRECTLY.contains(used)) {
            bail!("{pure} depends on {impure}: cores draw no randomness and touch no files; pass values in instead");
        }
        if let Some(impure) = IMPURE.iter().find(|impure| reaches(edges, pure, impure)) {
            bail!("{pure} reaches {impure}: cores do no I/O, read no clock and draw no randomness; pass values in instead");
        }
    }
    Ok(())
}

/// Is there a path of dependencies?
fn reaches(edges: &Edges, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut open = vec![from];
    while let Some(name) = open.pop() {
        for used in edges.get(name).into_iter().flatten() {
            if used == to {
                return true;
            }
            if seen.insert(used.as_str()) {
                open.push(used);
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(list: &[(&str, &[&str])]) -> Edges {
        list.iter().map(|(name, uses)| ((*name).to_owned(), uses.iter().map(|u| (*u).to_owned()).collect())).collect()
    }

    #[test]
    fn the_workspace_keeps_its_direction() -> Result<()> {
        let edges = edges()?;
        for name in LAYERS.iter().flat_map(|layer| layer.iter()) {
            assert!(edges.contains_key(*name), "{name} is listed here but not in the workspace");
        }
        check(&edges)
    }

    #[test]
    fn wrong_directions_are_found() {
        assert!(check(&graph(&[("cli", &["client", "node", "types"]), ("client", &["mpc"]), ("mpc", &["types"])])).is_ok());
        for wrong in [
            graph(&[("types", &["mpc"])]),
            graph(&[("mpc", &["biometric"])]),
            graph(&[("node", &["client"])]),
            graph(&[("node", &["helper"]), ("helper", &["biometric"])]),
            graph(&[("mpc", &["helper"]), ("helper", &["tokio"])]),
            graph(&[("mpc", &["getrandom"])]),
            graph(&[("cli", &["xtask"])]),
        ] {
            assert!(check(&wrong).is_err(), "{wrong:?}");
        }
    }
}
