//! The few things of a browser that page and worker both need: messages, time, errors.
//!
//! Nothing that knows a torrent.

use crate::protocol::LAYOUT;
use js_sys::{Array, Function, Promise, Reflect};
use nanoserde::{DeBin, SerBin};
use std::cell::Cell;
use std::rc::Rc;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{MessageChannel, MessagePort};

/// What the browser calls when something happens.
pub type Handler = Closure<dyn FnMut(JsValue)>;

/// Packs a typed message and what travels beside it into the array that is posted.
#[must_use]
pub fn pack<T: SerBin>(message: &T, attachments: &[JsValue]) -> Array {
    packed(&message.serialize_bin(), attachments)
}

fn packed(message: &[u8], attachments: &[JsValue]) -> Array {
    let packed = Array::of2(&LAYOUT.into(), &js_sys::Uint8Array::new_from_slice(message));
    for attachment in attachments {
        packed.push(attachment);
    }
    packed
}

/// Unpacks what [`pack`] made; `None` if it is something else, or of another version of the page.
#[must_use]
pub fn unpack<T: DeBin>(data: &JsValue) -> Option<(T, Array)> {
    let (message, attachments) = unpacked(data)?;
    Some((T::deserialize_bin(&message).ok()?, attachments))
}

fn unpacked(data: &JsValue) -> Option<(Vec<u8>, Array)> {
    let packed = data.dyn_ref::<Array>()?;
    if packed.get(0) != LAYOUT {
        return None;
    }
    Some((packed.get(1).dyn_ref::<js_sys::Uint8Array>()?.to_vec(), packed.slice(2, packed.length())))
}

/// What a browser's exception says, in its own words.
#[must_use]
pub fn reason(error: &JsValue) -> String {
    let field = |name: &str| Reflect::get(error, &name.into()).ok().and_then(|value| value.as_string());
    match (field("name"), field("message")) {
        (_, Some(message)) if !message.is_empty() => message,
        (Some(name), _) => name,
        _ => error.as_string().unwrap_or_else(|| "unknown failure".into()),
    }
}

/// The name of a browser's exception, as `QuotaExceededError`.
#[must_use]
pub fn name_of(error: &JsValue) -> String {
    Reflect::get(error, &"name".into()).ok().and_then(|value| value.as_string()).unwrap_or_default()
}

/// Waits so many milliseconds.
pub async fn sleep(millis: u32) {
    let promise = Promise::new(&mut |resolve, _| {
        set_timeout(&resolve, millis);
    });
    // A timer's promise is never rejected.
    let _ = JsFuture::from(promise).await;
}

/// Has `callback` called once, after so many milliseconds; the number stops it.
pub fn set_timeout(callback: &Function, millis: u32) -> JsValue {
    global_function("setTimeout")
        .and_then(|function| function.call2(&JsValue::UNDEFINED, callback, &millis.into()).ok())
        .unwrap_or(JsValue::UNDEFINED)
}

/// Stops a timer.
pub fn clear_timeout(timer: &JsValue) {
    if let Some(function) = global_function("clearTimeout") {
        // Stopping a timer that has fired is no failure.
        let _ = function.call1(&JsValue::UNDEFINED, timer);
    }
}

/// Has something done soon, once for all that asked meanwhile: after the messages that already wait for this thread.
///
/// A timer would do the same some milliseconds later, a promise before the next message.
pub struct Soon {
    ask: MessagePort,
    hear: MessagePort,
    asked: Rc<Cell<bool>>,
    _handler: Handler,
}

impl Soon {
    /// Will call `act`.
    ///
    /// # Errors
    /// The browser's, when it has no message channels.
    pub fn new(mut act: impl FnMut() + 'static) -> Result<Self, JsValue> {
        let channel = MessageChannel::new()?;
        let asked = Rc::new(Cell::new(false));
        let handler = {
            let asked = Rc::clone(&asked);
            Handler::new(move |_| {
                asked.set(false);
                act();
            })
        };
        let (ask, hear) = (channel.port1(), channel.port2());
        hear.set_onmessage(Some(handler.as_ref().unchecked_ref()));
        Ok(Self { ask, hear, asked, _handler: handler })
    }

    /// Asks for it.
    pub fn ask(&self) {
        if !self.asked.replace(true) {
            // Fails only for values that cannot be copied.
            let _ = self.ask.post_message(&JsValue::NULL);
        }
    }
}

impl Drop for Soon {
    fn drop(&mut self) {
        self.hear.set_onmessage(None);
        self.hear.close();
    }
}

/// Resolves with the first of `promise` and the passing of so many milliseconds (then `None`).
pub async fn within(promise: &Promise, millis: u32) -> Option<Result<JsValue, JsValue>> {
    let late = JsValue::from(js_sys::Object::new());
    let value = late.clone();
    let mut timer = JsValue::UNDEFINED;
    let timeout = Promise::new(&mut |resolve, _| {
        let value = value.clone();
        let fire = Closure::once_into_js(move || {
            let _ = resolve.call1(&JsValue::UNDEFINED, &value);
        });
        timer = set_timeout(fire.unchecked_ref(), millis);
    });
    let race = Promise::race(&Array::of2(promise, &timeout));
    let result = JsFuture::from(race).await;
    clear_timeout(&timer);
    match result {
        Ok(value) if value == late => None,
        other => Some(other),
    }
}

/// A copy of an `ArrayBuffer`'s bytes.
#[must_use]
pub fn bytes_of(buffer: &JsValue) -> Vec<u8> {
    js_sys::Uint8Array::new(buffer).to_vec()
}

fn global_function(name: &str) -> Option<Function> {
    Reflect::get(&js_sys::global(), &name.into()).ok()?.dyn_into().ok()
}

/// What a browser read of JSON. It has a reader already; one of ours would have to be downloaded.
#[derive(Clone, Debug, Default)]
pub struct Json(JsValue);

impl From<JsValue> for Json {
    fn from(value: JsValue) -> Self {
        Self(value)
    }
}

impl Json {
    /// Reads a text.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        js_sys::JSON::parse(text).ok().map(Self)
    }

    /// The text of an object with these fields, in their order.
    #[must_use]
    pub fn text_of(fields: &[(&str, JsValue)]) -> String {
        let object = js_sys::Object::new();
        for (name, value) in fields {
            // Setting a field of a plain object cannot fail.
            let _ = Reflect::set(&object, &(*name).into(), value);
        }
        js_sys::JSON::stringify(&object).map(String::from).unwrap_or_default()
    }

    /// The text of a list of strings.
    #[must_use]
    pub fn list_of(texts: &[String]) -> String {
        let list: Array = texts.iter().map(|text| JsValue::from_str(text)).collect();
        js_sys::JSON::stringify(&list).map(String::from).unwrap_or_default()
    }

    /// A field of an object; nothing if there is none.
    #[must_use]
    pub fn get(&self, field: &str) -> Self {
        Self(Reflect::get(&self.0, &field.into()).unwrap_or_default())
    }

    /// Whether it is null, or there is none.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.0.is_null() || self.0.is_undefined()
    }

    /// Names and values of an object.
    #[must_use]
    pub fn entries(&self) -> Option<Vec<(String, Self)>> {
        let entries = js_sys::Object::entries(self.0.dyn_ref()?);
        Some(
            entries
                .iter()
                .filter_map(|entry| {
                    let entry: Array = entry.unchecked_into();
                    Some((entry.get(0).as_string()?, Self(entry.get(1))))
                })
                .collect(),
        )
    }

    /// A string.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        self.0.as_string()
    }

    /// A number.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        self.0.as_f64()
    }

    /// A whole number that is not negative; exact up to 2^53.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        // Others saturate.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let whole = |number: f64| number as u64;
        self.0.as_f64().map(whole)
    }

    /// Whether it is `true`.
    #[must_use]
    pub fn is_true(&self) -> bool {
        self.0.as_bool() == Some(true)
    }

    /// The strings of a list; none if it is something else.
    #[must_use]
    pub fn texts(&self) -> Vec<String> {
        let list = self.0.dyn_ref::<Array>();
        list.map(|list| list.iter().filter_map(|item| item.as_string()).collect()).unwrap_or_default()
    }
}
