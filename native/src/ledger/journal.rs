//! What a ledger did since its books were last stored: a file that notes are appended to, so that a
//! process that is killed loses none. The store keeps its requests in another just like it.
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
    /// Opens a segment of the journal at `base`. No later one may exist.
    pub fn begin(base: &Path, segment: Segment) -> io::Result<Self> {
        let mut journal = Self { base: base.to_owned(), segment, file: None, length: 0, backlog: Vec::new() };
        journal.open(segment)?;
        Ok(journal)
    }

    /// A journal whose next segment is opened with the first note. No later one than `last` may exist.
    pub fn idle(base: &Path, last: Segment) -> Self {
        Self { base: base.to_owned(), segment: last, file: None, length: 0, backlog: Vec::new() }
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

    /// What waits, all of it.
    pub fn take_backlog(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.backlog)
    }

    /// Whether notes wait.
    pub fn has_backlog(&self) -> bool {
        !self.backlog.is_empty()
    }

    /// Notes go into the next segment from now on; those that waited are in this one.
    pub fn switch(&mut self) -> io::Result<()> {
        self.append(&[])?;
        self.open(next(self.segment))
    }

    /// The same, but the next segment is opened only with the next note; that is in this one, or a
    /// later one.
    pub fn leave(&mut self) -> Segment {
        self.file = None;
        next(self.segment)
    }

    /// Tries whether the disk takes anything, after it took no note.
    pub fn probe(&mut self) -> io::Result<()> {
        let name = beside(&self.base, ".probe");
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

/// The journal of the ledger whose books are in the store at `path`.
pub fn of_ledger(path: &Path) -> PathBuf {
    beside(path, ".journal")
}

/// The file of a segment.
pub fn name(base: &Path, Segment(number): Segment) -> PathBuf {
    beside(base, &format!(".{number}"))
}

/// The segments of a journal, in order.
pub fn segments(base: &Path) -> io::Result<Vec<Segment>> {
    let directory = match base.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let start = beside(Path::new(base.file_name().unwrap_or_default()), ".");
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

/// Deletes segments whose notes are stored. One that cannot be deleted now is at the next start.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::tests::Folder;

    fn base(folder: &Folder) -> PathBuf {
        of_ledger(&folder.store())
    }

    /// A toy of a note: its length, a mark that all is well, and so many bytes.
    fn note(number: u8) -> Vec<u8> {
        vec![3, b'n', number]
    }

    fn read_into(numbers: &mut Vec<u8>) -> impl FnMut(&[u8]) -> Result<Option<usize>, Garbled> {
        |bytes| match bytes {
            [3, b'n', number, ..] => {
                numbers.push(*number);
                Ok(Some(3))
            }
            [3, b'n'] | [3] => Ok(None),
            _ => Err(Garbled { what: "no note".to_owned() }),
        }
    }

    fn replayed(base: &Path, from: u64) -> (Vec<u8>, Replayed) {
        let mut numbers = Vec::new();
        let replayed = replay(base, Segment(from), read_into(&mut numbers)).unwrap();
        (numbers, replayed)
    }

    fn begun(folder: &Folder, segment: u64) -> Journal {
        Journal::begin(&base(folder), Segment(segment)).unwrap()
    }

    /// A disk on which a segment cannot be written.
    #[cfg(target_os = "linux")]
    fn fill(folder: &Folder, segment: u64) {
        std::os::unix::fs::symlink("/dev/full", name(&base(folder), Segment(segment))).unwrap();
    }

    #[test]
    fn notes_are_done_again_in_their_order_across_segments() {
        let folder = Folder::new("order");
        let mut journal = begun(&folder, 9);
        journal.append(&note(1)).unwrap();
        journal.switch().unwrap();
        journal.append(&note(2)).unwrap();
        journal.append(&note(3)).unwrap();
        journal.switch().unwrap();
        journal.append(&note(4)).unwrap();
        assert_eq!(journal.segment(), Segment(11));
        let whole = Replayed { notes: 4, free: Segment(12), ..Replayed::default() };
        assert_eq!(replayed(&base(&folder), 9), (vec![1, 2, 3, 4], whole));
        assert_eq!(replayed(&base(&folder), 10).0, [2, 3, 4]);
        forget(&base(&folder), Segment(11)).unwrap();
        assert_eq!(segments(&base(&folder)).unwrap(), [Segment(11)]);
        assert_eq!(replayed(&base(&folder), 0).0, [4]);
    }

    #[test]
    fn a_note_that_was_cut_short_is_as_if_it_were_not_there() {
        let folder = Folder::new("torn");
        begun(&folder, 1).append(&[note(1), note(2), vec![3, b'n']].concat()).unwrap();
        begun(&folder, 2).append(&note(3)).unwrap();
        let (numbers, replayed) = replayed(&base(&folder), 1);
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!((replayed.torn, replayed.garbled.len()), (1, 0));
    }

    #[test]
    fn k17_a_garbled_note_is_told_and_the_rest_of_its_segment_is_kept_beside_it() {
        let folder = Folder::new("garbled");
        begun(&folder, 1).append(&[note(1), b"??".to_vec(), note(2)].concat()).unwrap();
        begun(&folder, 2).append(&note(3)).unwrap();
        let (numbers, replayed) = replayed(&base(&folder), 1);
        assert_eq!(numbers, [1, 3]);
        let told = &replayed.garbled[0];
        assert!(told.contains("journal.1: byte 3: no note: the 5 bytes from there on"), "{told}");
        assert_eq!(std::fs::read(beside(&base(&folder), ".1.bad")).unwrap(), [b"??", &note(2)[..]].concat());
        // What was set aside is not taken for a segment.
        assert_eq!(segments(&base(&folder)).unwrap(), [Segment(1), Segment(2)]);
    }

    #[test]
    fn there_is_nothing_to_do_again_at_the_first_start() {
        let folder = Folder::new("first");
        assert_eq!(replayed(&base(&folder), 0), (Vec::new(), Replayed::default()));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_a_full_disk_does_not_take_comes_before_what_it_takes_later() {
        let folder = Folder::new("full-journal");
        fill(&folder, 1);
        fill(&folder, 2);
        let mut journal = begun(&folder, 1);
        assert_eq!(journal.append(&note(1)).unwrap_err().kind(), ErrorKind::StorageFull);
        journal.defer(&note(2));
        // The next segment is on the full disk too.
        assert_eq!(journal.append(&note(3)).unwrap_err().kind(), ErrorKind::StorageFull);
        journal.defer(&note(4));
        assert!(journal.has_backlog());
        journal.append(&note(5)).unwrap();
        assert!(!journal.has_backlog());
        assert_eq!(journal.segment(), Segment(3));
        assert_eq!(replayed(&base(&folder), 3).0, [2, 4, 5]);
    }

    #[test]
    fn a_file_that_took_half_a_note_is_cut_back_to_whole_ones() {
        let folder = Folder::new("half");
        let mut journal = begun(&folder, 1);
        journal.append(&note(1)).unwrap();
        // Half a note, and a file that then refuses.
        let path = name(&base(&folder), Segment(1));
        std::fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(&[3, b'n']).unwrap();
        journal.file = Some(File::open(&path).unwrap());
        assert!(journal.append(&note(2)).is_err());
        assert!(journal.file.is_none(), "it could not be cut, so it is left");
        journal.append(&note(3)).unwrap();
        assert_eq!(replayed(&base(&folder), 1).0, [1, 3]);
    }

    #[test]
    fn notes_that_wait_have_a_bound() {
        let folder = Folder::new("bound");
        let mut journal = begun(&folder, 1);
        for _ in 0..MOST_WAITING {
            journal.defer(&note(1));
        }
        assert!(journal.backlog.len() <= MOST_WAITING);
        assert_eq!(journal.backlog.len() % 3, 0);
        journal.probe().unwrap();
        assert!(!journal.has_backlog());
        assert!(!beside(&base(&folder), ".probe").exists());
    }
}
