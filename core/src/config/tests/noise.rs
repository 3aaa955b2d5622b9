//! No text at all makes reading a config panic, and every error has its place in the text.

use super::*;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};

fn survives(text: &[u8]) {
    let lines = text.split(|byte| *byte == b'\n').count();
    match load(text, &secrets) {
        Ok(config) => assert!(!config.describe().is_empty()),
        Err(errors) => {
            assert!(!errors.is_empty());
            for error in errors {
                assert!((1..=lines).contains(&error.line) && error.column >= 1, "{error:?}");
                assert!(!error.message.is_empty() && !error.fix.is_empty(), "{error:?}");
            }
        }
    }
}

/// Pieces a config is made of, and some it is not.
fn piece() -> impl Strategy<Value = String> {
    let pieces = [
        "[server]\n",
        "[providers.a]\n",
        "[models.m]\n",
        "[[keys]]\n",
        "[[teams]]\n",
        "[[organisations]]\n",
        "[[users]]\n",
        "[[tags]]\n",
        "[tokens]\n",
        "[store]\n",
        "limits = ",
        "end_user = ",
        "issuers = ",
        "previous = ",
        "metadata = ",
        "name = ",
        "to",
        "targets = ",
        "fallbacks = ",
        "budget = ",
        "{ usd = ",
        "per = ",
        "\"m\"",
        "\"a/b\"",
        "\"env:CI_KEY\"",
        "[",
        "]",
        "{",
        "}",
        ",",
        "=",
        "\n",
        ".",
        "1e400",
        "nan",
        "-1",
        "0x7f",
        "\"",
        "'",
        "\"\"\"",
        "2027-01-01",
        "key",
        "value",
        "sha256",
        "kind = \"openai\"\n",
        "base_url = \"http://x\"\n",
        "models",
        "*",
        "/",
        "🦀",
        "\u{feff}",
        "\\u0000",
        "\0",
    ];
    prop_oneof![4 => proptest::sample::select(pieces.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"]
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        survives(&text);
    }

    #[test]
    fn anything_like_toml_is_read_without_a_panic(pieces in proptest::collection::vec(piece(), 0..40)) {
        survives(pieces.concat().as_bytes());
    }

    #[test]
    fn anything_like_json_is_read_without_a_panic(pieces in proptest::collection::vec(piece(), 0..40)) {
        survives(format!("{{{}", pieces.concat()).as_bytes());
    }

    #[test]
    fn a_config_with_a_part_replaced_is_read_without_a_panic(
        at in 0..10_000_usize,
        len in 0_usize..40,
        with in piece(),
    ) {
        for whole in [FULL, people::PEOPLE] {
            let mut text = whole.as_bytes().to_vec();
            let at = at % text.len();
            let end = (at + len).min(text.len());
            text.splice(at..end, with.bytes());
            survives(&text);
        }
    }
}

#[test]
fn depth_overflows_no_stack() {
    let deep = 50_000;
    for text in [
        format!("a = {}", "[".repeat(deep)),
        format!("a = {}", "{a=".repeat(deep)),
        format!("a{} = 1", ".a".repeat(deep)),
        format!("[a{}]", ".a".repeat(deep)),
        format!("{{\"a\":{}", "[".repeat(deep)),
        format!("{{\"a\":{}{}}}", "[".repeat(deep), "]".repeat(deep)),
        format!("{}1{}", "{\"a\":".repeat(deep), "}".repeat(deep)),
    ] {
        survives(text.as_bytes());
    }
}

#[test]
fn a_long_chain_of_fallbacks_overflows_no_stack() {
    let mut text = String::from("[providers.openai]\n");
    for index in 0..3000 {
        text += &format!(
            "[models.m{index}]\ntargets = \"openai/m{index}\"\nfallbacks = [\"m{0}\", \"m{0}\"]\n",
            index + 1
        );
    }
    let text = text + "[models.m3000]\ntargets = \"openai/last\"\n";
    let said = errors(&text);
    assert!(said[0].contains("more than 1000 targets and fallbacks"), "{}", said[0]);
    let circle = text.replace("openai/last\"", "openai/last\"\nfallbacks = \"m0\"");
    let said = errors(&circle);
    assert_eq!(said.len(), 1);
    assert!(
        said[0].contains("fallbacks lead in a circle: m0 → m1 → m2 → m3 → m4 → m5 → … → m0"),
        "{}",
        said[0]
    );
}
