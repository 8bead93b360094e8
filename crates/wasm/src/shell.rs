//! The browser as transport, platform and disk: the worker's own functions, found at `globalThis.commonsShell`.

use std::time::Duration;

use client::platform::Pending;
use client::transport::{ANSWER_BODY_BYTES, Answer, Call, Silence};
use client::{Error, Platform, Transport};
use js_sys::{Array, Promise, Reflect, Uint8Array};
use types::{NodeId, UnixSeconds};
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;
use wasm_bindgen_futures::JsFuture;

use crate::trouble;

#[wasm_bindgen]
extern "C" {
    /// Resolves to `{status, body}`, or to `{silence: "unreached" | "lost" | "too-large"}`; never rejects.
    #[wasm_bindgen(js_namespace = ["globalThis", "commonsShell"], js_name = call)]
    fn shell_call(node: u8, path: &str, body: Option<Vec<u8>>, most: u32) -> Promise;
    #[wasm_bindgen(js_namespace = ["globalThis", "commonsShell"], js_name = sleep)]
    fn shell_sleep(milliseconds: u32) -> Promise;
    /// What is kept in this browser under a name, as `Uint8Array`; `undefined` where nothing is.
    #[wasm_bindgen(js_namespace = ["globalThis", "commonsShell"], js_name = read)]
    fn shell_read(name: &str) -> Promise;
    /// Everything whose name begins so, as an array of `Uint8Array`.
    #[wasm_bindgen(js_namespace = ["globalThis", "commonsShell"], js_name = list)]
    fn shell_list(begin: &str) -> Promise;
    /// Resolves when it lies on the disk.
    #[wasm_bindgen(js_namespace = ["globalThis", "commonsShell"], js_name = keep)]
    fn shell_keep(name: &str, bytes: Vec<u8>) -> Promise;
    #[wasm_bindgen(js_namespace = ["globalThis", "commonsShell"], js_name = forget)]
    fn shell_forget(name: &str) -> Promise;
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

/// What is kept in this browser, for this commons.
pub(crate) async fn read(name: &str) -> Result<Option<Vec<u8>>, JsValue> {
    let found = JsFuture::from(shell_read(name)).await.map_err(unkept)?;
    Ok((!found.is_undefined()).then(|| Uint8Array::new(&found).to_vec()))
}

/// Everything whose name begins so, by name.
pub(crate) async fn list(begin: &str) -> Result<Vec<Vec<u8>>, JsValue> {
    let found = Array::from(&JsFuture::from(shell_list(begin)).await.map_err(unkept)?);
    Ok(found.iter().map(|one| Uint8Array::new(&one).to_vec()).collect())
}

/// Keeps it, on the disk when this returns.
pub(crate) async fn keep(name: &str, bytes: Vec<u8>) -> Result<(), JsValue> {
    JsFuture::from(shell_keep(name, bytes)).await.map(|_| ()).map_err(unkept)
}

pub(crate) async fn forget(name: &str) -> Result<(), JsValue> {
    JsFuture::from(shell_forget(name)).await.map(|_| ()).map_err(unkept)
}

fn unkept(_: JsValue) -> JsValue {
    JsValue::from_str(&trouble::own("no-storage", "this browser keeps nothing").to_string())
}

/// Bytes fit for keys.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    get_random_values(&mut bytes).map_err(|_| Error::NoRandomness)?;
    Ok(bytes)
}
