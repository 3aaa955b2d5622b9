use super::*;
use proptest::prelude::*;

fn theirs(tokenizer: &Tokenizer, text: &str) -> u64 {
    let tiktoken = if std::ptr::eq(tokenizer, &O200K) {
        tiktoken_rs::o200k_base_singleton()
    } else {
        tiktoken_rs::cl100k_base_singleton()
    };
    tiktoken.encode_ordinary(text).len() as u64
}

fn same(text: &str) {
    for tokenizer in [&O200K, &CL100K] {
        assert_eq!(tokenizer.count(text), theirs(tokenizer, text), "{text:?}");
    }
}

#[test]
fn texts_of_many_kinds_count_as_with_tiktoken() {
    for text in [
        "",
        " ",
        "Hello, world!",
        "I'll say it's DON'T, we'Ve, he'D, thatſ'ſ 'ſ",
        "fn main() {\n    println!(\"{}\", 12345678);\n\n\n}\r\n\r\n  \t x",
        "  leading and trailing   ",
        "trailing breaks \n \n  ",
        "a\u{300}\u{301}B\u{302}c ǅungla ʰʱ ﬁ İstanbul",
        "日本語のテキスト、中文文本，한국어 텍스트 ไทย हिन्दी العربية עברית",
        "😀👩‍👩‍👧‍👦🇩🇪 e\u{301}",
        "https://example.com/a/b?c=d&e=f#//\n///",
        "CamelCaseHTTPServer2XX XMLHttpRequest ÀÉÎõü ΑΒΓαβγ",
        "<|endoftext|><|fim_prefix|>",
        "１２３４५६७ ⅷ ½ ²",
        "\u{a0}\u{2003}\u{2028}x\u{85}y\u{3000}",
        "\u{0}\u{1}\u{7f}\u{feff}",
    ] {
        same(text);
        same(&text.repeat(3));
    }
}

#[test]
fn long_runs_count_as_with_tiktoken_and_take_no_longer_than_they_must() {
    for text in ["a", "ab", " ", "\n", "=", "1", "é", "日", "-*", "\u{300}", "aB"] {
        same(&text.repeat(3_000));
    }
}

#[test]
fn every_token_by_itself_is_one() {
    for (tokenizer, tiktoken) in
        [(&O200K, tiktoken_rs::o200k_base_singleton()), (&CL100K, tiktoken_rs::cl100k_base_singleton())]
    {
        let all: Vec<Vec<u8>> = (0..).map_while(|rank| tiktoken.decode_bytes(&[rank]).ok()).collect();
        assert!(all.len() > 100_000);
        for (rank, token) in all.iter().enumerate() {
            assert_eq!(tokenizer.table.find(token), u32::try_from(rank).ok());
        }
        assert_eq!(tokenizer.table.find(b"no token would be like this one"), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text_counts_as_with_tiktoken(text in any::<String>()) {
        same(&text);
    }

    #[test]
    fn what_words_are_made_of_counts_as_with_tiktoken(
        parts in proptest::collection::vec(
            prop_oneof![
                "[a-z]{1,8}", "[A-Z]{1,4}", "[ \t]{1,4}", "[\r\n]{1,3}", "[0-9]{1,5}", "'(s|S|t|re|VE|ll|d|x)", "[/.,:;!?(){}\\[\\]\"'`=+*_#<>|-]{1,4}",
                "[\u{e0}-\u{17f}]{1,3}", "[\u{300}-\u{36f}]{1,2}", "[\u{4e00}-\u{4fff}]{1,4}", "[\u{2b0}-\u{2ff}\u{1c5}\u{1f2}]{1,2}", "[\u{660}-\u{669}\u{2160}-\u{2170}]{1,4}",
                "[\u{a0}\u{2000}-\u{200a}\u{2028}\u{3000}]{1,2}", "[\u{1f600}-\u{1f64f}]{1,2}",
            ],
            0..24,
        ),
    ) {
        same(&parts.concat());
    }
}
