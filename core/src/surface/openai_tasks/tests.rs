use super::*;
use crate::count::Media;

fn look(surface: &OpenAiTask, body: &str) -> Result<Envelope, Fault> {
    surface.envelope(body.as_bytes(), &RequestLine::default())
}

#[test]
fn what_is_wrong_is_named() {
    for (surface, body, path) in [
        (&MODERATIONS, r#"{"model":"m"}"#, "input"),
        (&MODERATIONS, r#"{"input":[]}"#, "input"),
        (&MODERATIONS, r#"{"input":["a",[]]}"#, "input[1]"),
        (&RERANK, r#"{"query":"a","documents":["b"]}"#, "model"),
        (&RERANK, r#"{"model":"m","query":["a"],"documents":["b"]}"#, "query"),
        (&RERANK, r#"{"model":"m","query":"a","documents":["b"],"top_n":0}"#, "top_n"),
        (&IMAGES, r#"{"n":1}"#, "prompt"),
        (&IMAGES, r#"{"prompt":"a","n":0}"#, "n"),
        (&SPEECH, r#"{"model":"m","input":"a"}"#, "voice"),
        (&SPEECH, r#"{"model":"m","input":["a"],"voice":"v"}"#, "input"),
        (&SPEECH, "[]", "body"),
    ] {
        assert_eq!(look(surface, body).unwrap_err().param.as_deref(), Some(path), "{body}");
    }
}

#[test]
fn what_a_request_may_be_priced_by_is_known_before_it_is_sent() {
    let told = |surface: &OpenAiTask, body: &str| {
        let envelope = look(surface, body).unwrap();
        surface.quantity(body.as_bytes(), &envelope).map(|quantity| quantity.count)
    };
    assert_eq!(told(&IMAGES, r#"{"prompt":"a","n":4}"#), Some(4));
    assert_eq!(told(&SPEECH, r#"{"model":"m","input":"aé😀","voice":"v"}"#), Some(3));
    assert_eq!(told(&RERANK, r#"{"model":"m","query":"a","documents":["b"]}"#), Some(1));
    assert_eq!(told(&MODERATIONS, r#"{"input":"a"}"#), None);
    let form = "--b\r\ncontent-disposition: form-data; name=file; filename=a\r\n\r\n";
    let form = format!("{form}{}\r\n--b--", "x".repeat(9_000));
    assert_eq!(form::seconds(form.as_bytes()), 3, "not a WAV: by its size");
    assert_eq!(form::seconds(b"nothing"), 1);
}

#[test]
fn pictures_among_what_is_judged_are_counted() {
    let body =
        r#"{"input":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"https://a.test"}}]}"#;
    assert_eq!(look(&MODERATIONS, body).unwrap().media, Media { images: 1, ..Media::default() });
    let (mut words, mut seen) = (Vec::new(), 0);
    let besides = MODERATIONS.prompt_text(body.as_bytes(), &mut |text| {
        seen += 1;
        words.push(text.to_owned());
    });
    assert_eq!((words, seen, besides.media.images), (vec!["a".to_owned()], 1, 1));
}
