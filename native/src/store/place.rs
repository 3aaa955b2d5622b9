//! Where a store is kept, and that it is kept by one process alone.

use super::trouble::{Problem, StoreError, Unopened};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What `store.path` says to keep nothing.
pub const MEMORY: &str = ":memory:";

/// How long to wait for another process to let go: at a restart the old one may still be closing.
pub const PATIENCE: Duration = Duration::from_secs(5);

const BETWEEN_TRIES: Duration = Duration::from_millis(50);

/// Where a store is kept.
#[derive(Debug)]
pub enum Place {
    /// Nowhere: it is gone with the process, and there is no file at all.
    Memory,
    /// In a file that this process alone has.
    File(Claimed),
}

/// A file that this process alone has, as long as the value lives.
#[derive(Debug)]
pub struct Claimed {
    /// The database.
    pub path: PathBuf,
    identity: Identity,
    _lock: File,
}

impl Place {
    /// Takes possession of a place, and makes the file if there is none. Waits up to `patience` for
    /// another process to let go.
    pub fn claim(path: &str, patience: Duration) -> Result<Self, Unopened> {
        if path == MEMORY {
            return Ok(Self::Memory);
        }
        let path = PathBuf::from(path);
        let lock = lock(&path, patience)?;
        let file = private().read(true).write(true).create(true).truncate(false).open(&path);
        let identity =
            file.and_then(|file| Identity::of_file(&file)).map_err(|error| cannot(&path, &error))?;
        Ok(Self::File(Claimed { path, identity, _lock: lock }))
    }

    /// The file.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::Memory => None,
            Self::File(claimed) => Some(&claimed.path),
        }
    }

    /// Whether what was opened is still what stands there. SQLite goes on writing into a file that
    /// has been deleted, and nobody would ever see what it wrote.
    pub fn check(&self) -> Result<(), StoreError> {
        let Self::File(claimed) = self else { return Ok(()) };
        let path = claimed.path.display();
        match Identity::of_path(&claimed.path) {
            Ok(found) if found == claimed.identity => Ok(()),
            Ok(_) => Err(StoreError::Gone(format!("another file stands at {path} now: restart to use it"))),
            Err(error) => Err(StoreError::Gone(format!("{path}: {error}"))),
        }
    }
}

/// Files that only their owner may read: who spent what is nobody else's business.
pub(crate) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// A path with something added to its file name.
pub(crate) fn beside(path: &Path, more: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(more);
    PathBuf::from(name)
}

fn lock(path: &Path, patience: Duration) -> Result<File, Unopened> {
    let name = beside(path, ".lock");
    let open = private().read(true).write(true).create(true).truncate(false).open(&name);
    let mut file = open.map_err(|error| cannot(&name, &error))?;
    let give_up = Instant::now() + patience;
    loop {
        match file.try_lock() {
            Ok(()) => break,
            Err(TryLockError::Error(error)) => return Err(cannot(&name, &error)),
            Err(TryLockError::WouldBlock) if Instant::now() < give_up => std::thread::sleep(BETWEEN_TRIES),
            Err(TryLockError::WouldBlock) => return Err(Unopened::Never(taken(path, &mut file))),
        }
    }
    // Only words for whoever is refused. What counts is the lock, which goes with the process.
    let _ = file.set_len(0).and_then(|()| file.rewind());
    let _ = write!(file, "{}", std::process::id());
    Ok(file)
}

fn taken(path: &Path, lock: &mut File) -> Problem {
    let mut holder = String::new();
    let _ = lock.take(20).read_to_string(&mut holder);
    let holder = match holder.parse::<u32>() {
        Ok(process) => format!("process {process}"),
        Err(_) => "another process".to_owned(),
    };
    Problem(format!(
        "{}: {holder} has this store open, probably another gateway\n  fix: stop it, or give each gateway its own store.path (limits are shared through store.redis)",
        path.display()
    ))
}

fn cannot(path: &Path, error: &std::io::Error) -> Unopened {
    let fix = format!(
        "set store.path to a file in a directory that the gateway may write to, or to \"{MEMORY}\" to keep nothing"
    );
    Unopened::file(&path.to_string_lossy(), error, &fix)
}

/// What tells a file from another at the same path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of_file(file: &File) -> std::io::Result<Self> {
        Ok(Self::of(&file.metadata()?))
    }

    fn of_path(path: &Path) -> std::io::Result<Self> {
        Ok(Self::of(&std::fs::metadata(path)?))
    }

    #[cfg(unix)]
    fn of(metadata: &std::fs::Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    #[cfg(not(unix))]
    fn of(_: &std::fs::Metadata) -> Self {
        // An open file cannot be deleted there.
        Self { device: 0, inode: 0 }
    }
}
