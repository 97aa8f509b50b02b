//! Detects that an SQLite file is no longer the one that is open.
//!
//! A file that was removed, moved or replaced while it is open can still be read and written. But nobody else sees what
//! is written, and the next start finds another file. SQLite itself checks this, except with a write-ahead log.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::store::Error;

/// The SQLite file that a store has open.
pub(in crate::store) struct OpenFile {
    path: PathBuf,
    identity: Identity,
}

/// The device that a file is on, and the file's number there.
type Identity = (u64, u64);

impl OpenFile {
    /// The file that is at this path now; `None` if there is none, as for a database in memory.
    pub(in crate::store) fn at(path: &Path) -> Option<Self> {
        let path = std::path::absolute(path).ok()?;
        let identity = identity(&path)?;
        Some(Self { path, identity })
    }

    /// Checks that the file is still at its path.
    ///
    /// # Errors
    /// [`Error::FileGone`] if nothing is there, or another file.
    pub(in crate::store) fn check(&self) -> Result<(), Error> {
        if identity(&self.path) == Some(self.identity) {
            return Ok(());
        }
        Err(Error::FileGone { file: self.path.clone() })
    }
}

fn identity(path: &Path) -> Option<Identity> {
    let about = fs::metadata(path).ok()?;
    Some((about.dev(), about.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain::Chain;

    #[test]
    fn a_file_that_is_moved_or_replaced_is_noticed_until_it_is_put_back() {
        let folder = tempfile::tempdir().unwrap();
        let (path, aside) = (folder.path().join("bridge.db"), folder.path().join("aside.db"));
        assert!(OpenFile::at(&path).is_none(), "there is no file yet");
        fs::write(&path, "a database").unwrap();
        let open = OpenFile::at(&path).unwrap();
        open.check().unwrap();
        fs::write(&path, "a database, and more").unwrap();
        open.check().unwrap();

        fs::rename(&path, &aside).unwrap();
        let gone = open.check().unwrap_err();
        let words = format!("the SQLite file {} was removed or replaced while it was open", path.display());
        assert_eq!(Chain(&gone).to_string(), words);
        assert!(gone.is_outage() && gone.hint().is_some_and(|hint| hint.contains("restart the daemon")), "{gone:?}");
        fs::write(&path, "another database").unwrap();
        assert!(open.check().is_err(), "another file of the same name");
        fs::rename(&aside, &path).unwrap();
        open.check().unwrap();
    }
}
