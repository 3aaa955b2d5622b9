//! What can be wrong with a store, by what helps.

use rusqlite::ErrorCode;
use std::fmt;
use std::io::{self, ErrorKind};

/// Why the store did not do what it was asked. Whoever asked may ask again; nothing was done by half.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreError {
    /// The disk is full. Passes when there is room.
    Full,
    /// The file or its file system is read-only.
    ReadOnly,
    /// Another program is writing, or more is asked at once than there is room to wait for.
    Busy,
    /// The file is no database, or a damaged one.
    Corrupt,
    /// The store cannot be reached at all, in the words of whoever could not.
    Gone(String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => f.write_str("the store's disk is full"),
            Self::ReadOnly => f.write_str("the store is read-only"),
            Self::Busy => f.write_str("the store is busy"),
            Self::Corrupt => f.write_str("the store's file is damaged or no database"),
            Self::Gone(what) => write!(f, "the store cannot be reached: {what}"),
        }
    }
}

impl std::error::Error for StoreError {}

impl StoreError {
    /// The thread that would have done it is no more.
    pub(crate) fn stopped() -> Self {
        Self::Gone("it has been closed".to_owned())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        // The enum is SQLite's own list of codes, and open-ended: what is not told apart is `Gone`.
        let Some(code) = error.sqlite_error_code() else { return Self::Gone(error.to_string()) };
        if code == ErrorCode::DiskFull {
            Self::Full
        } else if [ErrorCode::ReadOnly, ErrorCode::PermissionDenied].contains(&code) {
            Self::ReadOnly
        } else if [ErrorCode::DatabaseBusy, ErrorCode::DatabaseLocked].contains(&code) {
            Self::Busy
        } else if [ErrorCode::DatabaseCorrupt, ErrorCode::NotADatabase].contains(&code) {
            Self::Corrupt
        } else {
            Self::Gone(error.to_string())
        }
    }
}

/// Why a store cannot be opened, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(pub String);

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Problem {}

/// Why a store was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// It will not be by itself.
    Never(Problem),
    /// It may be as soon as there is room, or a place, or leave to write there.
    NotYet {
        /// For whoever can help.
        problem: Problem,
        /// For whoever wanted to write.
        trouble: StoreError,
    },
}

impl Unopened {
    /// For whoever does not wait.
    pub(super) fn into_problem(self) -> Problem {
        match self {
            Self::Never(problem) | Self::NotYet { problem, trouble: _ } => problem,
        }
    }

    /// What SQLite said.
    pub(super) fn database(path: &str, error: rusqlite::Error, fix: &str) -> Self {
        let passes = [
            ErrorCode::DiskFull,
            ErrorCode::ReadOnly,
            ErrorCode::PermissionDenied,
            ErrorCode::DatabaseBusy,
            ErrorCode::DatabaseLocked,
            ErrorCode::CannotOpen,
            ErrorCode::SystemIoFailure,
        ];
        let passes = error.sqlite_error_code().is_some_and(|code| passes.contains(&code));
        let trouble = StoreError::from(error);
        let problem = Problem(format!("{path}: {trouble}\n  fix: {fix}"));
        if passes { Self::NotYet { problem, trouble } } else { Self::Never(problem) }
    }

    /// What the system said.
    pub(super) fn file(path: &str, error: &io::Error, fix: &str) -> Self {
        let problem = Problem(format!("{path}: {error}\n  fix: {fix}"));
        let is = |kinds: &[ErrorKind]| kinds.contains(&error.kind());
        if is(&[ErrorKind::IsADirectory, ErrorKind::InvalidInput, ErrorKind::InvalidFilename]) {
            return Self::Never(problem);
        }
        let trouble = if is(&[ErrorKind::StorageFull, ErrorKind::QuotaExceeded]) {
            StoreError::Full
        } else if is(&[ErrorKind::ReadOnlyFilesystem, ErrorKind::PermissionDenied]) {
            StoreError::ReadOnly
        } else {
            StoreError::Gone(format!("{path}: {error}"))
        };
        Self::NotYet { problem, trouble }
    }
}
