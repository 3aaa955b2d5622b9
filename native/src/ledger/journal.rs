//! What a ledger did since its books were last stored: a file that notes are appended to, so that a
//! process that is killed loses none.
//!
//! ```text
//!   reserve or settle                       once a second
//!        │ note                                  │ switch (1), under the ledger's lock
//!        ▼                                       ▼
//!   tollgate.db.journal.7  ─────────▶  tollgate.db.journal.8  ◀── notes from now on
//!                                                │ books and "segment 8" in one transaction (2)
//!                                                ▼
//!                                      tollgate.db.journal.7 is deleted (3)
//! ```
//! 1. A note is in the file before what it tells of has an effect outside.
//! 2. Notes stand in the order in which the ledger did what they tell of.
//! 3. The books know exactly what is noted in segments before theirs: the switch and what is taken
//!    from the ledger to be stored are one step under its lock.
//! 4. A segment is deleted only when books that know it are stored.
//!
//! | killed | then at the next start |
//! |---|---|
//! | before a note is written | nothing is known of it, and nothing was sent |
//! | within it | the file ends in the middle of it: cut, as if it were not there |
//! | after it | it is done again |
//! | after (1) | books of segment 7: 7 and 8 are done again |
//! | after (2) | books of segment 8: 8 is done again, 7 deleted |
//! | after (3) | the same |
//!
//! Nothing here waits for the disk: a loss of power may cost what was done in the last second.

use crate::store::books::Segment;
use crate::store::place::{beside, private};
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use tollgate_core::ledger::Garbled;

/// Most bytes of notes that wait for a disk that takes none. What is beyond is in the next books.
const MOST_WAITING: usize = 8 << 20;

/// The segments of one ledger, the last of them open.
#[derive(Debug)]
pub struct Journal {
    base: PathBuf,
    segment: Segment,
    /// None after it could not be brought back to a whole note: the next one goes into another.
    file: Option<File>,
    /// Of whole notes.
    length: u64,
    backlog: Vec<u8>,
}

impl Journal {
    /// Opens a segment of the store at `base`. No later one may exist.
    pub fn begin(base: &Path, segment: Segment) -> io::Result<Self> {
        let mut journal = Self { base: base.to_owned(), segment, file: None, length: 0, backlog: Vec::new() };
        journal.open(segment)?;
        Ok(journal)
    }

    /// Where notes go now.
    pub fn segment(&self) -> Segment {
        self.segment
    }

    /// Appends whole notes, after those that wait. If that fails, none of these is in the file.
    pub fn append(&mut self, notes: &[u8]) -> io::Result<()> {
        if !self.backlog.is_empty() {
            let waiting = std::mem::take(&mut self.backlog);
            if let Err(error) = self.write(&waiting) {
                self.backlog = waiting;
                return Err(error);
            }
        }
        self.write(notes)
    }

    /// Keeps notes until the disk takes them again; if these are too many, the next books have them.
    pub fn defer(&mut self, notes: &[u8]) {
        if self.backlog.len() + notes.len() <= MOST_WAITING {
            self.backlog.extend_from_slice(notes);
        }
    }

    /// Whether notes wait.
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Notes go into the next segment from now on.
    pub fn switch(&mut self) -> io::Result<()> {
        self.open(next(self.segment))
    }

    /// Tries whether the disk takes anything, after it took no note.
    pub fn probe(&mut self) -> io::Result<()> {
        let name = beside(&self.base, ".journal.probe");
        let tried = std::fs::write(&name, [0; 4096]);
        let _ = std::fs::remove_file(&name);
        tried?;
        self.append(&[])
    }

    /// One write: who is killed in it leaves all of the notes or, rarely, their beginning.
    fn write(&mut self, notes: &[u8]) -> io::Result<()> {
        if notes.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            self.open(next(self.segment))?;
        }
        let Some(file) = &mut self.file else { return Err(ErrorKind::NotFound.into()) };
        let error = match written(file, notes) {
            Ok(length) if length == notes.len() => {
                self.length += notes.len() as u64;
                return Ok(());
            }
            Ok(_) => ErrorKind::StorageFull.into(),
            Err(error) => error,
        };
        // What was written by half must not stand between this note and the next.
        if file.set_len(self.length).is_err() {
            self.file = None;
        }
        Err(error)
    }

    fn open(&mut self, segment: Segment) -> io::Result<()> {
        let file = private().append(true).create(true).open(name(&self.base, segment))?;
        self.length = file.metadata()?.len();
        self.file = Some(file);
        self.segment = segment;
        Ok(())
    }
}

fn written(file: &mut File, bytes: &[u8]) -> io::Result<usize> {
    loop {
        match file.write(bytes) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}

/// The segment after this one.
pub fn next(Segment(number): Segment) -> Segment {
    Segment(number.saturating_add(1))
}

/// The file of a segment.
pub fn name(base: &Path, Segment(number): Segment) -> PathBuf {
    beside(base, &format!(".journal.{number}"))
}

/// The segments of a store, in order.
pub fn segments(base: &Path) -> io::Result<Vec<Segment>> {
    let directory = match base.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let start = beside(Path::new(base.file_name().unwrap_or_default()), ".journal.");
    let start = start.to_string_lossy();
    let mut found = Vec::new();
    for file in std::fs::read_dir(directory)? {
        let file = file?.file_name();
        let number = file.to_str().and_then(|file| file.strip_prefix(start.as_ref())?.parse().ok());
        found.extend(number.map(Segment));
    }
    found.sort_unstable();
    Ok(found)
}

/// Deletes segments that stored books know. One that cannot be deleted now is at the next start.
pub fn forget(base: &Path, before: Segment) -> io::Result<()> {
    for segment in segments(base)? {
        if segment < before {
            std::fs::remove_file(name(base, segment))?;
        }
    }
    Ok(())
}

/// What was found in a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Notes that were done again.
    pub notes: u64,
    /// Segments that ended in the middle of a note.
    pub torn: u64,
    /// What could not be read, and where it is kept.
    pub garbled: Vec<String>,
    /// The first segment that is free.
    pub free: Segment,
}

/// Does again what is noted in segments from `from` on. `redo` reads the first note of the bytes it is
/// given, does it and says how long it was, or none where they end within it. What is garbled is set
/// aside in a file beside it with the rest of its segment; whatever comes in later ones is still done.
pub fn replay(
    base: &Path,
    from: Segment,
    mut redo: impl FnMut(&[u8]) -> Result<Option<usize>, Garbled>,
) -> io::Result<Replayed> {
    let mut replayed = Replayed { free: from, ..Replayed::default() };
    for segment in segments(base)? {
        replayed.free = replayed.free.max(next(segment));
        if segment < from {
            // Left behind by a process that was killed before it could delete it.
            continue;
        }
        let path = name(base, segment);
        let bytes = std::fs::read(&path)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match redo(rest) {
                Ok(Some(length)) if length > 0 => {
                    rest = rest.get(length..).unwrap_or_default();
                    replayed.notes += 1;
                }
                Ok(_) => {
                    replayed.torn += 1;
                    break;
                }
                Err(Garbled { what }) => {
                    replayed.garbled.push(set_aside(&path, bytes.len() - rest.len(), rest, &what)?);
                    break;
                }
            }
        }
    }
    Ok(replayed)
}

fn set_aside(path: &Path, place: usize, rest: &[u8], what: &str) -> io::Result<String> {
    let bad = beside(path, ".bad");
    private().write(true).create(true).truncate(true).open(&bad)?.write_all(rest)?;
    let (path, bad, length) = (path.display(), bad.display(), rest.len());
    Ok(format!("{path}: byte {place}: {what}: the {length} bytes from there on are set aside in {bad}"))
}
