//! What a store path holds, described before it is written.

use crate::error::ForgeError;
use narwarden_core::hash::{Algorithm, Hasher, NarHash};
use narwarden_core::nar::NarWriter;
use narwarden_core::sink::{Counting, Executable, TreeSink};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::num::NonZeroU64;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Stands in contents and link targets for the hash part of the path itself, and makes it a
/// self-reference.
pub const SELF: &str = "@@@@@@@@@@@ THIS PATH @@@@@@@@@@";

const OWNER_EXECUTE: u32 = 0o100;

/// A file, a link, or a directory of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Tree {
    /// A regular file.
    File {
        /// Whether it may be executed.
        executable: Executable,
        /// Its bytes.
        contents: Vec<u8>,
    },
    /// A symbolic link to this target.
    Symlink(Vec<u8>),
    /// A directory.
    Directory(BTreeMap<Vec<u8>, Tree>),
}

impl Tree {
    /// A file that may not be executed.
    pub fn file(contents: impl Into<Vec<u8>>) -> Self {
        Self::File { executable: Executable::No, contents: contents.into() }
    }

    /// A file that may be executed.
    pub fn executable(contents: impl Into<Vec<u8>>) -> Self {
        Self::File { executable: Executable::Yes, contents: contents.into() }
    }

    /// A symbolic link.
    pub fn symlink(target: impl Into<Vec<u8>>) -> Self {
        Self::Symlink(target.into())
    }

    /// A directory with these entries; a name with slashes makes the directories on the way.
    pub fn directory<N: AsRef<[u8]>>(entries: impl IntoIterator<Item = (N, Self)>) -> Self {
        let mut root = BTreeMap::new();
        for (name, tree) in entries {
            insert(&mut root, name.as_ref(), tree);
        }
        Self::Directory(root)
    }

    /// What lies at `at`, links not followed.
    ///
    /// # Errors
    /// What cannot be read, and what is no file, directory or link.
    pub fn read(at: &Path) -> Result<Self, ForgeError> {
        let failed = |error| ForgeError::Io { path: at.to_owned(), error };
        let found = at.symlink_metadata().map_err(failed)?;
        if found.is_symlink() {
            let target = fs::read_link(at).map_err(failed)?;
            Ok(Self::Symlink(target.into_os_string().into_vec()))
        } else if found.is_dir() {
            let mut entries = BTreeMap::new();
            for entry in fs::read_dir(at).map_err(failed)? {
                let entry = entry.map_err(failed)?;
                entries.insert(entry.file_name().into_vec(), Self::read(&entry.path())?);
            }
            Ok(Self::Directory(entries))
        } else if found.is_file() {
            let owner_may = found.permissions().mode() & OWNER_EXECUTE != 0;
            let executable = if owner_may { Executable::Yes } else { Executable::No };
            Ok(Self::File { executable, contents: fs::read(at).map_err(failed)? })
        } else {
            Err(failed(std::io::ErrorKind::Unsupported.into()))
        }
    }

    /// The hash and size of its NAR.
    ///
    /// # Errors
    /// A tree that no NAR can hold.
    pub fn nar(&self) -> Result<(NarHash, NonZeroU64), ForgeError> {
        let mut writer = NarWriter::new(Counting::new(Hasher::new(Algorithm::Sha256)));
        self.feed(&mut writer)?;
        let counted = writer.finish()?;
        let size = NonZeroU64::new(counted.count()).unwrap_or(NonZeroU64::MIN);
        Ok((counted.into_inner().finish().try_into()?, size))
    }

    /// Tells `sink` of the whole tree.
    ///
    /// # Errors
    /// Those of the sink.
    pub fn feed<S: TreeSink>(&self, sink: &mut S) -> Result<(), S::Error> {
        match self {
            Self::File { executable, contents } => {
                sink.begin_file(*executable, contents.len() as u64)?;
                sink.contents(contents)?;
                sink.end_file()
            }
            Self::Symlink(target) => sink.symlink(target),
            Self::Directory(entries) => {
                sink.begin_directory()?;
                for (name, tree) in entries {
                    sink.begin_entry(name)?;
                    tree.feed(sink)?;
                    sink.end_entry()?;
                }
                sink.end_directory()
            }
        }
    }

    /// The same with `hash_part` wherever [`SELF`] stands.
    pub(crate) fn itself_at(&self, hash_part: &str) -> Self {
        let replaced = |bytes: &[u8]| replace(bytes, SELF.as_bytes(), hash_part.as_bytes());
        match self {
            Self::File { executable, contents } => {
                Self::File { executable: *executable, contents: replaced(contents) }
            }
            Self::Symlink(target) => Self::Symlink(replaced(target)),
            Self::Directory(entries) => Self::Directory(
                entries
                    .iter()
                    .map(|(name, tree)| (name.clone(), tree.itself_at(hash_part)))
                    .collect(),
            ),
        }
    }

    /// Writes it to `at`, where nothing lies yet.
    pub(crate) fn write(&self, at: &Path) -> Result<(), ForgeError> {
        let failed = |error| ForgeError::Io { path: at.to_owned(), error };
        match self {
            Self::File { executable, contents } => {
                fs::write(at, contents).map_err(failed)?;
                let mode = match executable {
                    Executable::No => 0o644,
                    Executable::Yes => 0o755,
                };
                fs::set_permissions(at, fs::Permissions::from_mode(mode)).map_err(failed)
            }
            Self::Symlink(target) => {
                let target = OsString::from_vec(target.clone());
                std::os::unix::fs::symlink(target, at).map_err(failed)
            }
            Self::Directory(entries) => {
                fs::create_dir(at).map_err(failed)?;
                for (name, tree) in entries {
                    tree.write(&at.join(std::ffi::OsStr::from_bytes(name)))?;
                }
                Ok(())
            }
        }
    }
}

fn insert(directory: &mut BTreeMap<Vec<u8>, Tree>, name: &[u8], tree: Tree) {
    let mut parts = name.splitn(2, |byte| *byte == b'/');
    match (parts.next(), parts.next()) {
        (Some(first), Some(rest)) => {
            let below = directory.entry(first.to_vec());
            let below = below.or_insert_with(|| Tree::Directory(BTreeMap::new()));
            if let Tree::Directory(below) = below {
                insert(below, rest, tree);
            }
        }
        (_, _) => {
            directory.insert(name.to_vec(), tree);
        }
    }
}

fn replace(text: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut replaced = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, after)) = rest.split_first() {
        if let Some(after) = rest.strip_prefix(what) {
            replaced.extend_from_slice(with);
            rest = after;
        } else {
            replaced.push(*first);
            rest = after;
        }
    }
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let tree = Tree::directory([
            ("bin/run", Tree::executable("#!")),
            ("bin/link", Tree::symlink("run")),
            ("\u{7f}\n", Tree::file(vec![0, 255])),
            ("empty", Tree::directory::<&str>([])),
        ]);
        let workshop = crate::Workshop::new().unwrap();
        let at = workshop.root().join("tree");
        tree.write(&at).unwrap();
        crate::canonicalise(&at).unwrap();
        assert_eq!(Tree::read(&at).unwrap(), tree);
    }

    #[test]
    fn the_placeholder_becomes_the_hash_part() {
        let tree = Tree::file(format!("a{SELF}{SELF}@"));
        assert_eq!(tree.itself_at("xyz"), Tree::file("axyzxyz@"));
    }
}
