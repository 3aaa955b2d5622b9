//! Who there is and what was done last, as one value of the key-value store.
//!
//! ```text
//!   12                     the number of the last commit: most who look need no more
//!   {"stored": …, "log": [lines 1 to 12, or those after the last that was put away]}
//! ```

use bytes::Bytes;
use serde_json::{Value as Json, json};
use std::collections::BTreeMap;
use tollgate_core::api::audit::{BEGINNING, seal};
use tollgate_core::api::{AuditLine, Change, Deed, Kind};
use tollgate_core::units::Time;
use tollgate_edge::keeper::Stored;

/// Lines of the log that are put away together.
pub(super) const BLOCK: usize = 64;

/// Everything in the value.
#[derive(Debug, Default)]
pub(super) struct People {
    pub(super) stored: Stored,
    /// The last lines, the oldest first.
    pub(super) log: Vec<AuditLine>,
}

impl People {
    /// The number of the last commit, without reading the rest.
    pub(super) fn version(value: &[u8]) -> Option<u64> {
        std::str::from_utf8(value.split(|byte| *byte == b'\n').next()?).ok()?.parse().ok()
    }

    /// Reads a value; none where it is none.
    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let begin = value.iter().position(|byte| *byte == b'\n')?;
        let json: Json = serde_json::from_slice(value.get(begin..)?).ok()?;
        let stored = Stored::from_json(json.get("stored")?.as_str()?.as_bytes())?;
        Some(Self { stored, log: lines(json.get("log")?)? })
    }

    /// As the value.
    pub(super) fn written(&self) -> Vec<u8> {
        let json = json!({ "stored": self.stored.to_json(), "log": spelled(&self.log) });
        format!("{}\n{json}", self.stored.version).into_bytes()
    }

    /// Lines that are to be put away before there is another: their block.
    pub(super) fn full(&self) -> Option<&[AuditLine]> {
        (self.log.len() > BLOCK).then(|| self.log.get(..BLOCK)).flatten()
    }

    /// They have been.
    pub(super) fn put_away(&mut self) {
        self.log.drain(..BLOCK.min(self.log.len()));
    }

    /// Makes changes and notes the deed.
    pub(super) fn commit(&mut self, changes: &[Change], deed: &Deed) {
        let number = self.stored.version + 1;
        let last = self.log.last().map_or(BEGINNING, |line| line.seal);
        self.log.push(AuditLine { number, deed: deed.clone(), seal: seal(&last, deed) });
        let mut all: BTreeMap<String, Change> =
            std::mem::take(&mut self.stored.entities).into_iter().map(|one| (name(&one), one)).collect();
        for change in changes {
            match change.spec {
                Some(_) => all.insert(name(change), change.clone()),
                None => all.remove(&name(change)),
            };
        }
        self.stored.entities = all.into_values().collect();
        self.stored.version = number;
        self.stored.had_keys |= changes.iter().any(|change| change.kind == Kind::Key);
    }
}

fn name(Change { kind, name, spec: _ }: &Change) -> String {
    format!("{}:{name}", kind.name())
}

/// Lines as JSON.
pub(super) fn spelled(lines: &[AuditLine]) -> Json {
    let text = |spec: &Option<Bytes>| spec.as_ref().map(|spec| String::from_utf8_lossy(spec).into_owned());
    let line = |AuditLine { number, deed, seal }: &AuditLine| {
        let Deed { at, actor, action, subject, before, after } = deed;
        let seal: String = seal.iter().map(|byte| format!("{byte:02x}")).collect();
        json!([number, at.0, actor, action, subject, text(before), text(after), seal])
    };
    lines.iter().map(line).collect()
}

/// Reads such lines; none where one is none.
pub(super) fn lines(json: &Json) -> Option<Vec<AuditLine>> {
    json.as_array()?.iter().map(line).collect()
}

fn line(json: &Json) -> Option<AuditLine> {
    let text = |place: usize| json.get(place)?.as_str().map(str::to_owned);
    let spec = |place: usize| text(place).map(Bytes::from);
    let deed = Deed {
        at: Time(json.get(1)?.as_u64()?),
        actor: text(2)?,
        action: text(3)?,
        subject: text(4)?,
        before: spec(5),
        after: spec(6),
    };
    let (spelled, mut seal) = (text(7)?, [0; 32]);
    for (byte, place) in seal.iter_mut().zip((0..64).step_by(2)) {
        *byte = u8::from_str_radix(spelled.get(place..place + 2)?, 16).ok()?;
    }
    Some(AuditLine { number: json.get(0)?.as_u64()?, deed, seal })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tollgate_core::api::audit::verify;

    fn change(name: &str, spec: Option<&'static str>) -> Change {
        Change { kind: Kind::Key, name: name.to_owned(), spec: spec.map(Bytes::from) }
    }

    fn deed(subject: &str) -> Deed {
        let (actor, action) = ("admin".to_owned(), "key.create".to_owned());
        let after = Some(Bytes::from_static(b"{}"));
        Deed { at: Time(7), actor, action, subject: subject.to_owned(), before: None, after }
    }

    #[test]
    fn what_was_committed_is_read_again_with_its_number_and_a_log_that_holds() {
        let mut people = People::default();
        people.commit(&[change("a", Some("{}")), change("b", Some("{}"))], &deed("key:a"));
        people.commit(&[change("a", None)], &deed("key:a"));
        let value = people.written();
        assert_eq!(People::version(&value), Some(2));
        let read = People::read(&value).unwrap();
        assert_eq!(read.stored, people.stored);
        assert_eq!(read.stored.entities, [change("b", Some("{}"))]);
        assert!(read.stored.had_keys);
        assert_eq!(verify(read.log), Ok(2));
    }

    #[test]
    fn a_log_that_is_put_away_in_blocks_is_whole() {
        let (mut people, mut away) = (People::default(), Vec::new());
        for _ in 0..(2 * BLOCK + 3) {
            if let Some(block) = people.full() {
                away.extend(lines(&spelled(block)).unwrap());
                people.put_away();
            }
            people.commit(&[], &deed("key:a"));
        }
        assert_eq!(away.len(), BLOCK + BLOCK);
        away.extend(people.log);
        assert_eq!(verify(away), Ok(2 * BLOCK as u64 + 3));
    }
}
