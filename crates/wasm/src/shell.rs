//! The browser as transport and platform: the worker's own functions, found at `globalThis.commonsShell`.

use std::time::Duration;

use client::platform::Pending;
use client::transport::{ANSWER_BODY_BYTES, Answer, Call, Silence};
use client::{Error, Platform, Transport};
use js_sys::{Promise, Reflect, Uint8Array};
use types::{NodeId, UnixSeconds};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;

#[wasm_bindgen]
extern "C" {
    /// Resolves to `{status, body}`, or to `{silence: "unreached" | "lost" | "too-large"}`; never rejects.
    #[wasm_bindgen(js_namespace = ["globalThis", "commonsShell"], js_name = call)]
    fn shell_call(node: u8, path: &str, body: Option<Vec<u8>>, most: u32) -> Promise;
    #[wasm_bindgen(js_namespace = ["globalThis", "commonsShell"], js_name = sleep)]
    fn shell_sleep(milliseconds: u32) -> Promise;
    #[wasm_bindgen(js_namespace = ["globalThis", "crypto"], js_name = getRandomValues, catch)]
    fn get_random_values(bytes: &mut [u8]) -> Result<JsValue, JsValue>;
}

/// Calls nodes with the worker's `fetch`.
pub(crate) struct Fetch;

impl Transport for Fetch {
    fn call(&self, node: NodeId, call: Call, body: Option<Vec<u8>>) -> Pending<'_, Result<Answer, Silence>> {
        Box::pin(async move {
            let most = u32::try_from(ANSWER_BODY_BYTES).unwrap_or(u32::MAX);
            let told = JsFuture::from(shell_call(node.number(), &call.path(), body, most)).await;
            let told = told.map_err(|_| Silence::Lost)?;
            let field = |name: &str| Reflect::get(&told, &JsValue::from_str(name)).unwrap_or(JsValue::UNDEFINED);
            if let Some(silence) = field("silence").as_string() {
                return Err(match silence.as_str() {
                    "unreached" => Silence::Unreached,
                    "too-large" => Silence::TooLarge,
                    _ => Silence::Lost,
                });
            }
            let body = Uint8Array::new(&field("body")).to_vec();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an HTTP status")]
            let status = field("status").as_f64().unwrap_or(0.0) as u16;
            if body.len() > ANSWER_BODY_BYTES { Err(Silence::TooLarge) } else { Ok(Answer { status, body }) }
        })
    }
}

/// The browser's clock, randomness and timers.
#[derive(Clone, Copy)]
pub(crate) struct Browser;

impl Platform for Browser {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "milliseconds since 1970")]
    fn now(&self) -> UnixSeconds {
        (js_sys::Date::now() / 1000.0) as UnixSeconds
    }
    fn random(&self) -> Result<[u8; 32], Error> {
        random()
    }
    fn sleep(&self, time: Duration) -> Pending<'_, ()> {
        let milliseconds = u32::try_from(time.as_millis()).unwrap_or(u32::MAX);
        Box::pin(async move { drop(JsFuture::from(shell_sleep(milliseconds)).await) })
    }
}

/// Bytes fit for keys.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    get_random_values(&mut bytes).map_err(|_| Error::NoRandomness)?;
    Ok(bytes)
}
