//! The last document that could be used, kept in the key-value store.
//!
//! An instance lives for seconds. Without this, a document with an error would be refused by those that run
//! and, as these end, be the end of the gateway. A gateway that never had another says what is wrong with the
//! first.

use crate::settings::Text;

/// Keeps a document from which an instance has begun; nothing, if it has begun without any.
#[cfg(feature = "key-value")]
pub(crate) async fn keep(text: Option<&Text>) {
    use spin_sdk::key_value::Store;
    let Ok(store) = Store::open_default().await else { return };
    let Ok(known) = store.get(KEY).await else { return };
    // What cannot be kept now is kept by an instance that comes.
    match (text.map(written), known) {
        (Some(value), known) if known.as_ref() != Some(&value) => drop(store.set(KEY, value).await),
        (None, Some(_)) => drop(store.delete(KEY).await),
        (Some(_) | None, _) => {}
    }
}

#[cfg(not(feature = "key-value"))]
pub(crate) async fn keep(_text: Option<&Text>) {}

/// The document, if there is one.
#[cfg(feature = "key-value")]
pub(crate) async fn find() -> Option<Text> {
    read(spin_sdk::key_value::Store::open_default().await.ok()?.get(KEY).await.ok()??)
}

#[cfg(not(feature = "key-value"))]
pub(crate) async fn find() -> Option<Text> {
    None
}

#[cfg(feature = "key-value")]
const KEY: &str = "tollgate/config";

/// Its name in a line, and then itself.
#[cfg(feature = "key-value")]
fn written(Text { name, bytes }: &Text) -> Vec<u8> {
    [name.as_bytes(), b"\n", bytes].concat()
}

#[cfg(feature = "key-value")]
fn read(mut value: Vec<u8>) -> Option<Text> {
    let end = value.iter().position(|byte| *byte == b'\n')?;
    let bytes = value.split_off(end + 1);
    value.truncate(end);
    Some(Text { name: String::from_utf8(value).ok()?, bytes })
}

#[cfg(all(test, feature = "key-value"))]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_what_it_was_with_its_name() {
        let text = Text { name: "gateway_config".to_owned(), bytes: b"[a]\nb = 1\n".to_vec() };
        assert_eq!(read(written(&text)), Some(text));
        assert_eq!(read(b"no line".to_vec()), None);
    }
}
