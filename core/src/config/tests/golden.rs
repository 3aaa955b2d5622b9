//! Wrong documents and every line that is said of them, from `wrong.txt`: after `====` what it
//! shows, then the document, after `----` its errors.

use super::*;

#[test]
fn each_wrong_document_is_refused_with_every_error_at_its_place() {
    let mut cases = 0;
    for case in include_str!("wrong.txt").split("==== ").filter(|case| !case.is_empty()) {
        let (title, rest) = case.split_once('\n').unwrap();
        let (document, expected) = rest.split_once("----\n").unwrap();
        let expected: Vec<&str> = expected.lines().collect();
        assert_eq!(errors(document), expected, "{title}");
        cases += 1;
    }
    assert!(cases > 10, "{cases}");
}

#[test]
fn a_file_that_is_not_utf8_is_refused_at_the_first_wrong_byte() {
    let refused = load(b"[server]\nlisten = \"\xff\"\n", &secrets).unwrap_err();
    assert_eq!(refused[0].to_string(), "2:11: the file is not UTF-8 (save it as UTF-8)");
}

#[test]
fn columns_count_characters_and_a_byte_order_mark_is_none() {
    let said = load("\u{feff}[providers.openai]\nheaders = { x = \"ü\", y = 5 }\n".as_bytes(), &secrets);
    let said: Vec<String> = said.unwrap_err().iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "2:17: providers.openai.headers.x: the secret holds a character that no header can carry (use visible ASCII only)",
            "2:26: providers.openai.headers.y: expected a string, found a number (write a string)",
        ]
    );
}

#[test]
fn an_error_shows_no_secret() {
    let document = r#"
        [server]
        admin_key = "hun\u0007ter2"
        [providers.openai]
        key = ["hunter2"]
        base_url = "https://user:hunter2@host/v1"
        [[keys]]
        name = "a"
        sha256 = "hunter2"
        value = "hunter2"
    "#;
    let said = errors(document).join("\n");
    assert!(said.lines().count() >= 4 && !said.contains("ter2"), "{said}");
}
