use super::*;

fn line(body: &str) -> String {
    format!("{{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{body}}}")
}

fn chat(model: &str, more: &str) -> String {
    line(&format!(
        "{{\"model\":\"{model}\",\"messages\":[{{\"role\":\"user\",\"content\":\"hello\"}}]{more}}}"
    ))
}

/// The same however it is cut into pieces.
fn survey(text: &str) -> Result<Surveyed, String> {
    let gauge = Gauge::default();
    let by = |size: usize| {
        let mut survey = Survey::default();
        for piece in text.as_bytes().chunks(size) {
            survey.push(piece, &gauge)?;
        }
        survey.finish(&gauge)
    };
    let whole = by(usize::MAX).map_err(|fault| fault.into_parts().message);
    for size in [1, 7, 64] {
        assert_eq!(by(size).map_err(|fault| fault.into_parts().message), whole, "in pieces of {size}");
    }
    whole
}

#[test]
fn a15_calls_are_counted_with_their_caps_and_answers() {
    let lines = [
        chat("m-1", ",\"max_tokens\":10"),
        chat("m-1", ",\"max_tokens\":10,\"n\":3"),
        String::new(),
        chat("m-1", ""),
    ];
    for end in ["", "\n", "\r\n\n"] {
        let found = survey(&(lines.join("\n") + end)).unwrap();
        assert_eq!((found.calls, found.model.as_str()), (3, "m-1"));
        assert_eq!((found.capped, found.uncapped), (Tokens(40), 1));
        assert_eq!(found.output(Tokens(100)), Tokens(140));
        assert!(found.input.get() >= 3, "{:?}", found.input);
    }
}

#[test]
fn a15_vectors_and_judgements_generate_nothing() {
    let body = r#"{"model":"m","input":"some text"}"#;
    for url in ["/v1/embeddings", "/v1/moderations"] {
        let found = survey(&line(body).replace("/v1/chat/completions", url)).unwrap();
        assert_eq!(found.output(Tokens(1000)), Tokens::ZERO, "{url}");
    }
    let found = survey(&line(body).replace("/v1/chat/completions", "/v1/new")).unwrap();
    assert_eq!(found.output(Tokens(1000)), Tokens(1000), "of what nobody knows the most is taken");
}

#[test]
fn a15_faults_name_the_line_and_what_is_wrong_there() {
    let good = chat("m-1", "");
    let wrong = |line: &str| survey(&format!("{good}\n\n{line}\n{good}")).unwrap_err();
    assert!(wrong("{").starts_with("line 3: not acceptable JSON"), "{}", wrong("{"));
    assert!(wrong("{}").starts_with("line 3: url is missing"));
    assert!(wrong("{\"url\":\"/v1/chat/completions\"}").starts_with("line 3: body is missing"));
    assert!(wrong(&line("{\"model\":\"m-1\"}")).starts_with("line 3: messages"));
    assert!(
        wrong(&chat("m-2", "")).starts_with("line 3: body.model: expected the model of the lines before")
    );
    assert!(wrong(&chat("m-1", ",\"model\":\"m-2\"")).starts_with("line 3: "), "a model said twice");
    assert!(survey("\n \n").unwrap_err().contains("a call in each line"));
}

#[test]
fn a15_a_line_without_an_end_is_given_up() {
    let mut survey = Survey::default();
    let gauge = Gauge::default();
    let piece = vec![b' '; 1024 * 1024];
    let given_up = (0..32).position(|_| survey.push(&piece, &gauge).is_err());
    assert_eq!(given_up, Some(16));
}
