//! A value of the key-value store that several change at the same time.
//!
//! With the platform's atomics it is replaced only if it is still what was read. Without them (feature
//! `atomics` left out) the later of two writes wins, and what the other wrote is lost: best effort.

/// What stores take as one value at most, by their own words.
pub(crate) const MOST_BYTES: usize = 1_000_000;

/// Whether writes are compared with what was read.
pub(crate) const IS_ATOMIC: bool = cfg!(feature = "atomics");

/// What the platform says of a store that the manifest does not name.
pub(crate) const NO_STORE: &str = "there is no key-value store: add key_value_stores = [\"default\"] to \
                                   [component.tollgate] in spin.toml";

/// What became of a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Swapped {
    /// It is there.
    Done,
    /// Somebody else has written since: nothing was.
    Overtaken,
}

/// A value that was read.
pub(crate) struct Read {
    /// Writes what takes its place.
    pub(crate) cell: Cell,
    /// What it was; nothing, if it was never written.
    pub(crate) value: Option<Vec<u8>>,
}

#[cfg(feature = "atomics")]
mod swapping {
    use super::{NO_STORE, Read, Swapped};
    use spin_sdk::experimental::wasi::keyvalue::{atomics, store};

    /// A value that is replaced only by who has seen it.
    pub(crate) struct Cell {
        cas: atomics::Cas,
        // Dropped after what came from it.
        _bucket: store::Bucket,
    }

    impl Cell {
        /// Reads a value. The error is in words.
        pub(crate) async fn read(key: &str) -> Result<Read, String> {
            let bucket = store::open("default").map_err(words)?;
            let cas = atomics::Cas::new(&bucket, key).map_err(words)?;
            let value = cas.current().map_err(words)?;
            Ok(Read { cell: Self { cas, _bucket: bucket }, value })
        }

        /// Writes what takes the place of what was read.
        pub(crate) async fn write(self, value: Vec<u8>) -> Result<Swapped, String> {
            match atomics::swap(self.cas, &value) {
                Ok(()) => Ok(Swapped::Done),
                Err(atomics::CasError::CasFailed(_)) => Ok(Swapped::Overtaken),
                Err(atomics::CasError::StoreError(error)) => Err(words(error)),
            }
        }
    }

    fn words(error: store::Error) -> String {
        match error {
            store::Error::NoSuchStore | store::Error::AccessDenied => NO_STORE.to_owned(),
            store::Error::Other(why) => why.chars().take(200).collect(),
        }
    }
}

#[cfg(not(feature = "atomics"))]
mod swapping {
    use super::{NO_STORE, Read, Swapped};
    use spin_sdk::key_value::{Error, Store};

    /// A value that the last writer wins.
    pub(crate) struct Cell {
        key: String,
        store: Store,
    }

    impl Cell {
        /// Reads a value. The error is in words.
        pub(crate) async fn read(key: &str) -> Result<Read, String> {
            let store = Store::open_default().await.map_err(words)?;
            let value = store.get(key).await.map_err(words)?;
            Ok(Read { cell: Self { key: key.to_owned(), store }, value })
        }

        /// Writes what takes the place of whatever is there.
        pub(crate) async fn write(self, value: Vec<u8>) -> Result<Swapped, String> {
            self.store.set(&self.key, value).await.map_err(words)?;
            Ok(Swapped::Done)
        }
    }

    fn words(error: Error) -> String {
        match error {
            Error::NoSuchStore | Error::AccessDenied => NO_STORE.to_owned(),
            Error::StoreTableFull => "too many stores are open".to_owned(),
            Error::Other(why) => why.chars().take(200).collect(),
        }
    }
}

pub(crate) use swapping::Cell;
