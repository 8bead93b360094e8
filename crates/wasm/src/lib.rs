//! The member's client for the browser: what the command line does, with the same code, behind bindings to JavaScript.
//!
//! Capture, quantising, splitting, sealing, signing and every check are calls of `biometric` and `client`. What is here moves bytes and
//! turns values into JSON for the page. Key and template stay in this module's memory: the page sees neither, except in the
//! [`workshop`], where showing a template is the point.
//!
//! **In scope**: bindings (`page`), the browser as [`client::Transport`] and [`client::Platform`] (`shell`), JSON for the page
//! ([`view`], [`trouble`]), pixels from a camera ([`pixels`]). **Out of scope**: fetching, storing and showing, which the page does.
//!
//! The bindings exist on wasm only; the rest compiles everywhere and is tested natively.

pub mod pixels;
pub mod trouble;
pub mod view;
pub mod workshop;

#[cfg(target_family = "wasm")]
#[allow(unsafe_code, missing_docs, unreachable_pub, reason = "what wasm-bindgen generates")]
mod page;
#[cfg(target_family = "wasm")]
#[allow(unsafe_code, missing_docs, unreachable_pub, reason = "what wasm-bindgen generates")]
mod shell;
