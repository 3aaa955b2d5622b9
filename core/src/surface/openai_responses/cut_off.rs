//! The end of a stream whose upstream is not waited for any longer.

use super::words::{self, Echo};
use crate::surface::{Asked, SoFar};
use crate::units::Tokens;
use crate::usage::{Inclusive, Usage};
use bytes::{Bytes, BytesMut};
use serde_json::{Value, json};

/// `response.incomplete` for the cap on output. What was said stands in the events before it.
pub(super) fn frames(so_far: &SoFar<'_>, asked: &Asked) -> Bytes {
    let SoFar { content: _, finished, recent, output, choices: _ } = so_far;
    if !finished.is_empty() {
        return Bytes::new();
    }
    let usage = Usage::from(Inclusive { completion: *output, ..Inclusive::default() });
    let usage =
        (*output > Tokens::ZERO).then(|| words::usage(&usage, crate::dialect::Dialect::OpenAiResponses));
    let mut response = Echo::of(asked).response();
    words::end(&mut response, "incomplete", Some("max_output_tokens"));
    response.insert("usage".to_owned(), usage.unwrap_or_default());
    let sequence = recent.last().map_or(0, |data| words::sequence_after(data));
    let mut out = BytesMut::new();
    let event = json!({"type": "response.incomplete", "response": Value::Object(response), "sequence_number": sequence});
    words::frame("response.incomplete", &event, &mut out);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::surface::openai_responses::tests::asked;

    #[test]
    fn the_response_ends_incomplete_and_the_numbers_go_on() {
        let recent = [Bytes::from_static(
            br#"{"type":"response.output_text.delta","delta":"a","sequence_number":41}"#,
        )];
        let so_far = SoFar { content: b"", finished: &[], recent: &recent, output: Tokens(7), choices: 1 };
        let bytes = frames(&so_far, &asked());
        let text = std::str::from_utf8(&bytes).unwrap();
        let data = text.strip_prefix("event: response.incomplete\ndata: ").unwrap();
        let event: Value = serde_json::from_str(data).unwrap();
        assert_eq!(event["sequence_number"], 42);
        assert_eq!(event["response"]["incomplete_details"]["reason"], "max_output_tokens");
        assert_eq!(event["response"]["usage"]["output_tokens"], 7);
        let over = SoFar { finished: &recent, ..so_far };
        assert!(frames(&over, &asked()).is_empty());
    }
}
