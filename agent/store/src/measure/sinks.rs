//! What one walk is hashed into: the NAR always, a content address beside it where one is claimed.

use super::nar::NarBuffer;
use narwarden_core::content_address::SelfReference;
use narwarden_core::evidence::MeasuredContent;
use narwarden_core::git_object::{GitError, GitHasher};
use narwarden_core::hash::{Algorithm, Hash, Hasher, NarHash};
use narwarden_core::nar::{Framing, NarError};
use narwarden_core::plan::ContentAsk;
use narwarden_core::self_reference::SelfReferenceHasher;
use narwarden_core::sink::{ByteSink as _, Executable, TreeSink as _};
use narwarden_core::store_path::StorePath;
use std::num::NonZeroU64;

/// What else the bytes of the NAR are hashed into.
#[derive(Debug)]
enum Beside {
    Nothing,
    Hash(Box<Hasher>),
    Modulo(Box<SelfReferenceHasher>),
}

/// What is hashed of the tree itself rather than of its NAR.
#[derive(Debug)]
enum Content {
    Nar,
    Nothing,
    File(Hasher),
    Git(Option<GitHasher>),
}

/// What the store path itself is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Root {
    NotSeen,
    File(Executable),
    Other,
}

/// Everything that a tree is fed to.
#[derive(Debug)]
pub(super) struct Sinks {
    framing: Framing,
    beside: Beside,
    content: Content,
    root: Root,
}

/// What a whole tree came out as.
#[derive(Debug)]
pub(super) struct Hashed {
    pub(super) nar_hash: NarHash,
    pub(super) nar_size: NonZeroU64,
    pub(super) content: MeasuredContent,
}

impl Sinks {
    /// Begins a NAR in `out`, which every other call is to be given too.
    pub(super) fn begin(path: &StorePath, ask: ContentAsk, out: &mut NarBuffer) -> Self {
        let beside = match ask {
            ContentAsk::Nar(algorithm, SelfReference::Yes) => {
                Beside::Modulo(Box::new(SelfReferenceHasher::new(path.hash_part(), algorithm)))
            }
            // The NAR hash itself is the answer.
            ContentAsk::Nar(Algorithm::Sha256, SelfReference::No) => Beside::Nothing,
            ContentAsk::Nar(algorithm, SelfReference::No) => {
                Beside::Hash(Box::new(Hasher::new(algorithm)))
            }
            ContentAsk::Nothing | ContentAsk::File(_) | ContentAsk::Git(_) => Beside::Nothing,
        };
        let content = match ask {
            ContentAsk::Nothing => Content::Nothing,
            ContentAsk::Nar(_, _) => Content::Nar,
            ContentAsk::File(algorithm) => Content::File(Hasher::new(algorithm)),
            ContentAsk::Git(algorithm) => Content::Git(GitHasher::new(algorithm).ok()),
        };
        out.clear();
        Self { framing: Framing::begin(out), beside, content, root: Root::NotSeen }
    }

    /// What else wants the bytes that came into the buffer.
    pub(super) fn beside(&mut self, fresh: &[u8]) {
        match &mut self.beside {
            Beside::Nothing => {}
            Beside::Hash(hasher) => hasher.write(fresh),
            Beside::Modulo(hasher) => hasher.write(fresh),
        }
    }

    /// What it all came out as, once all of `out` was hashed; the error says what in the tree no NAR can hold.
    pub(super) fn finish(self, out: &mut NarBuffer) -> Result<Hashed, String> {
        self.framing.finish().map_err(|error| error.to_string())?;
        let (digest, size) = out.finish().ok_or("its NAR was not hashed as a whole")?;
        let nar_size = NonZeroU64::new(size).ok_or("an empty NAR")?;
        let nar_hash = NarHash::from_bytes(digest);
        let nar = Hash::from(nar_hash);
        let executable = match self.root {
            Root::File(executable) => executable,
            Root::NotSeen | Root::Other => Executable::No,
        };
        let hash = |strict, legacy| MeasuredContent::Hash { strict, legacy, executable };
        let content = match (self.content, self.beside) {
            (Content::Nothing, _) => MeasuredContent::NotAsked,
            (Content::Nar, Beside::Nothing) => hash(Some(nar), None),
            (Content::Nar, Beside::Hash(hasher)) => hash(Some(hasher.finish()), None),
            (Content::Nar, Beside::Modulo(hasher)) => {
                let modulo = hasher.finish();
                hash(modulo.strict, Some(modulo.legacy))
            }
            (Content::File(hasher), _) => match self.root {
                Root::File(_) => hash(Some(hasher.finish()), None),
                Root::NotSeen | Root::Other => MeasuredContent::NotARegularFile,
            },
            (Content::Git(git), _) => hash(git.and_then(|git| git.finish().ok()), None),
        };
        Ok(Hashed { nar_hash, nar_size, content })
    }

    /// Feeds the git object id, whose refusal leaves no hash behind.
    fn git(&mut self, feed: impl FnOnce(&mut GitHasher) -> Result<(), GitError>) {
        if let Content::Git(hasher) = &mut self.content
            && hasher.as_mut().is_some_and(|hasher| feed(hasher).is_err())
        {
            *hasher = None;
        }
    }

    /// Keeps the first object, which is the root.
    fn object(&mut self, found: Root) {
        if self.root == Root::NotSeen {
            self.root = found;
        }
    }
    pub(super) fn begin_directory(&mut self, out: &mut NarBuffer) -> Result<(), NarError> {
        self.object(Root::Other);
        self.git(GitHasher::begin_directory);
        self.framing.begin_directory(out)
    }

    pub(super) fn begin_entry(&mut self, name: &[u8], out: &mut NarBuffer) -> Result<(), NarError> {
        self.git(|git| git.begin_entry(name));
        self.framing.begin_entry(name, out)
    }

    pub(super) fn end_entry(&mut self, out: &mut NarBuffer) -> Result<(), NarError> {
        self.git(GitHasher::end_entry);
        self.framing.end_entry(out)
    }

    pub(super) fn end_directory(&mut self, out: &mut NarBuffer) -> Result<(), NarError> {
        self.git(GitHasher::end_directory);
        self.framing.end_directory(out)
    }

    pub(super) fn begin_file(
        &mut self,
        executable: Executable,
        size: u64,
        out: &mut NarBuffer,
    ) -> Result<(), NarError> {
        self.object(Root::File(executable));
        self.git(|git| git.begin_file(executable, size));
        self.framing.begin_file(executable, size, out)
    }

    /// The next bytes of the file were read to the beginning of what is free in `out`.
    pub(super) fn contents(&mut self, length: usize, out: &mut NarBuffer) -> Result<(), NarError> {
        let bytes = out.read(length);
        match &mut self.content {
            Content::File(hasher) => hasher.write(bytes),
            Content::Git(_) | Content::Nar | Content::Nothing => {}
        }
        self.git(|git| git.contents(bytes));
        self.framing.contents(bytes)?;
        out.advance(length);
        Ok(())
    }

    pub(super) fn end_file(&mut self, out: &mut NarBuffer) -> Result<(), NarError> {
        self.git(GitHasher::end_file);
        self.framing.end_file(out)
    }

    pub(super) fn symlink(&mut self, target: &[u8], out: &mut NarBuffer) -> Result<(), NarError> {
        self.object(Root::Other);
        self.git(|git| git.symlink(target));
        self.framing.symlink(target, out)
    }
}
