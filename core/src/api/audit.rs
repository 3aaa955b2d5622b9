//! The audit log, chained by hash: each line's seal is made of its deed and the seal before, so that a
//! line that is changed, left out or put in between shows.

use super::{AuditLine, Deed};
use bytes::Bytes;
use sha2::{Digest, Sha256};

/// What stands before the first line.
pub const BEGINNING: [u8; 32] = [0; 32];

/// Where the log is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The number the line should have had.
    pub number: u64,
    /// What is wrong with it.
    pub kind: Broken,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Another number stands there: a line is missing, or one too many.
    Number,
    /// Its seal is not that of its deed after the line before.
    Seal,
}

/// The seal of a deed after the line with the seal `previous`; SHA-256 over an unambiguous encoding.
pub fn seal(previous: &[u8; 32], deed: &Deed) -> [u8; 32] {
    let Deed { at, actor, action, subject, before, after } = deed;
    let mut hash = Sha256::new();
    hash.update(b"tollgate deed 1\n");
    hash.update(previous);
    hash.update(at.0.to_be_bytes());
    for text in [actor, action, subject] {
        part(&mut hash, text.as_bytes());
    }
    for spec in [before, after] {
        whole(&mut hash, spec.as_ref());
    }
    hash.finalize().into()
}

/// With its length before it, so that no two lists of parts make the same bytes.
fn part(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn whole(hash: &mut Sha256, spec: Option<&Bytes>) {
    match spec {
        None => hash.update([0]),
        Some(spec) => {
            hash.update([1]);
            part(hash, spec);
        }
    }
}

/// Checks lines from the first on: how many there are, or the first bad one.
pub fn verify(lines: impl IntoIterator<Item = AuditLine>) -> Result<u64, Gap> {
    let mut chain = Chain::default();
    lines.into_iter().try_for_each(|line| chain.next(&line))?;
    Ok(chain.lines)
}

/// The same, line by line, for a log that is read in pieces.
#[derive(Clone, Debug)]
pub struct Chain {
    lines: u64,
    last: [u8; 32],
}

impl Default for Chain {
    fn default() -> Self {
        Self { lines: 0, last: BEGINNING }
    }
}

impl Chain {
    /// How many lines were good.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// Checks the next line.
    pub fn next(&mut self, line: &AuditLine) -> Result<(), Gap> {
        let number = self.lines.saturating_add(1);
        if line.number != number {
            return Err(Gap { number, kind: Broken::Number });
        }
        if line.seal != seal(&self.last, &line.deed) {
            return Err(Gap { number, kind: Broken::Seal });
        }
        self.lines = number;
        self.last = line.seal;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::Time;

    fn deed(subject: &str) -> Deed {
        Deed {
            at: Time(1000),
            actor: "admin".to_owned(),
            action: "key.create".to_owned(),
            subject: subject.to_owned(),
            before: None,
            after: Some(Bytes::from_static(b"{}")),
        }
    }

    fn log(subjects: &[&str]) -> Vec<AuditLine> {
        let mut last = BEGINNING;
        let line = |(index, subject): (usize, &&str)| {
            last = seal(&last, &deed(subject));
            AuditLine { number: index as u64 + 1, deed: deed(subject), seal: last }
        };
        subjects.iter().enumerate().map(line).collect()
    }

    #[test]
    fn a_whole_log_is_verified() {
        assert_eq!(verify(log(&["key:a", "key:b", "key:c"])), Ok(3));
        assert_eq!(verify(Vec::new()), Ok(0));
    }

    #[test]
    fn a_line_that_is_changed_left_out_or_put_in_between_shows() {
        let whole = log(&["key:a", "key:b", "key:c"]);
        let mut changed = whole.clone();
        changed[1].deed.actor = "key:mallory".to_owned();
        assert_eq!(verify(changed), Err(Gap { number: 2, kind: Broken::Seal }));
        let mut cut = whole.clone();
        cut.remove(1);
        assert_eq!(verify(cut.clone()), Err(Gap { number: 2, kind: Broken::Number }));
        cut[1].number = 2;
        assert_eq!(verify(cut), Err(Gap { number: 2, kind: Broken::Seal }));
        let mut more = whole.clone();
        more.insert(1, whole[0].clone());
        assert_eq!(verify(more), Err(Gap { number: 2, kind: Broken::Number }));
    }

    #[test]
    fn fields_that_run_into_each_other_have_different_seals() {
        let one = Deed { actor: "ab".to_owned(), action: "c".to_owned(), ..deed("x") };
        let other = Deed { actor: "a".to_owned(), action: "bc".to_owned(), ..deed("x") };
        assert_ne!(seal(&BEGINNING, &one), seal(&BEGINNING, &other));
        let empty = Deed { after: Some(Bytes::new()), ..deed("x") };
        let absent = Deed { after: None, ..deed("x") };
        assert_ne!(seal(&BEGINNING, &empty), seal(&BEGINNING, &absent));
    }
}
