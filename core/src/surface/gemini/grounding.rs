//! Citations of other dialects as `groundingMetadata`: pages, and which bytes of the answer speak of
//! them.

use crate::call::Opaque;
use crate::dialect::Dialect;
use serde_json::{Value, json};

/// What an answer's text so far is grounded on.
#[derive(Debug, Default)]
pub(super) struct Grounding {
    chunks: Vec<Value>,
    supports: Vec<Value>,
    /// Citations that are of no page, by the dialect they came in.
    others: Vec<Opaque>,
    /// The text so far.
    text: String,
}

impl Grounding {
    /// More text.
    pub(super) fn say(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Citations that speak of the last `chars` characters of the text; 0: they say of which.
    pub(super) fn cite(&mut self, citation: &Opaque, chars: usize) {
        let Opaque { origin, value } = citation;
        let list = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for one in list {
            let one = one.get("url_citation").unwrap_or(one);
            match one.get("url").and_then(Value::as_str) {
                Some(url) => self.page(one, url, chars),
                None => self.others.push(Opaque { origin: *origin, value: one.clone() }),
            }
        }
    }

    fn page(&mut self, citation: &Value, url: &str, chars: usize) {
        let title = citation.get("title").and_then(Value::as_str).unwrap_or_default();
        let chunk = json!({"web": {"uri": url, "title": title}});
        let at = match self.chunks.iter().position(|known| *known == chunk) {
            Some(at) => at,
            None => {
                self.chunks.push(chunk);
                self.chunks.len() - 1
            }
        };
        let Some((start, end)) = self.reach(citation, chars) else { return };
        let words = self.text.get(start..end).unwrap_or_default();
        self.supports.push(json!({
            "segment": {"startIndex": start, "endIndex": end, "text": words},
            "groundingChunkIndices": [at],
        }));
    }

    /// In bytes, as this dialect counts; characters come in.
    fn reach(&self, citation: &Value, chars: usize) -> Option<(usize, usize)> {
        let byte = |char: usize| self.text.char_indices().nth(char).map_or(self.text.len(), |(at, _)| at);
        let told = |key: &str| usize::try_from(citation.get(key)?.as_u64()?).ok();
        if let (Some(start), Some(end)) = (told("start_index"), told("end_index")) {
            return (start < end).then(|| (byte(start), byte(end)));
        }
        let all = self.text.chars().count();
        (chars > 0).then(|| (byte(all.saturating_sub(chars)), self.text.len()))
    }

    /// The field; `None` where nothing was cited.
    pub(super) fn metadata(&self) -> Option<Value> {
        if self.chunks.is_empty() {
            return None;
        }
        Some(json!({"groundingChunks": self.chunks, "groundingSupports": self.supports}))
    }

    /// Citations with no place in it.
    pub(super) fn others(&self) -> Option<Value> {
        let origin = self.others.first()?.origin;
        let own = |block: &&Opaque| block.origin == origin && origin != Dialect::Gemini;
        let list: Vec<_> = self.others.iter().filter(own).map(|block| block.value.clone()).collect();
        let mut fields = serde_json::Map::new();
        fields.insert(origin.name().to_owned(), json!({"citations": list}));
        (!list.is_empty()).then_some(Value::Object(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_named_once_and_its_reach_is_told_in_bytes() {
        let mut grounding = Grounding::default();
        grounding.say("é is ");
        grounding.say("here");
        let value = json!([{"type": "web_search_result_location", "url": "u", "title": "t"}]);
        let citation = Opaque { origin: Dialect::Anthropic, value };
        grounding.cite(&citation, 4);
        grounding.cite(&citation, 4);
        let told = grounding.metadata().unwrap();
        assert_eq!(told["groundingChunks"], json!([{"web": {"uri": "u", "title": "t"}}]));
        let segment = json!({"startIndex": 6, "endIndex": 10, "text": "here"});
        assert_eq!(told["groundingSupports"][0]["segment"], segment);
        assert_eq!(grounding.others(), None);
    }

    #[test]
    fn citations_of_documents_are_kept_apart() {
        let mut grounding = Grounding::default();
        let value = json!([{"type": "char_location", "document_index": 0}]);
        grounding.cite(&Opaque { origin: Dialect::Anthropic, value }, 0);
        assert_eq!(grounding.metadata(), None);
        assert_eq!(grounding.others().unwrap()["anthropic"]["citations"][0]["document_index"], 0);
    }
}
