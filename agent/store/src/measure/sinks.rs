//! What one walk is hashed into: the NAR always, a content address beside it where one is claimed.

use narwarden_core::content_address::SelfReference;
use narwarden_core::evidence::MeasuredContent;
use narwarden_core::git_object::GitHasher;
use narwarden_core::hash::{Algorithm, Hasher, NarHash};
use narwarden_core::nar::NarWriter;
use narwarden_core::plan::ContentAsk;
use narwarden_core::self_reference::SelfReferenceHasher;
use narwarden_core::sink::{ByteSink, Counting, Executable, TreeSink};
use narwarden_core::store_path::StorePath;
use std::num::NonZeroU64;

/// The bytes of a NAR, hashed once or twice.
#[derive(Debug)]
struct NarBytes {
    nar: Hasher,
    beside: Beside,
}

#[derive(Debug)]
enum Beside {
    Nothing,
    Hash(Box<Hasher>),
    Modulo(Box<SelfReferenceHasher>),
}

impl ByteSink for NarBytes {
    fn write(&mut self, bytes: &[u8]) {
        self.nar.write(bytes);
        match &mut self.beside {
            Beside::Nothing => {}
            Beside::Hash(hasher) => hasher.write(bytes),
            Beside::Modulo(hasher) => hasher.write(bytes),
        }
    }
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
    nar: NarWriter<Counting<NarBytes>>,
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
    pub(super) fn new(path: &StorePath, ask: ContentAsk) -> Self {
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
        let bytes = NarBytes { nar: Hasher::new(Algorithm::Sha256), beside };
        Self { nar: NarWriter::new(Counting::new(bytes)), content, root: Root::NotSeen }
    }

    /// What it all came out as; the error says what in the tree no NAR can hold.
    pub(super) fn finish(self) -> Result<Hashed, String> {
        let counted = self.nar.finish().map_err(|error| error.to_string())?;
        let nar_size = NonZeroU64::new(counted.count()).ok_or("an empty NAR")?;
        let NarBytes { nar, beside } = counted.into_inner();
        let nar = nar.finish();
        let executable = match self.root {
            Root::File(executable) => executable,
            Root::NotSeen | Root::Other => Executable::No,
        };
        let hash = |strict, legacy| MeasuredContent::Hash { strict, legacy, executable };
        let content = match (self.content, beside) {
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
        let nar_hash = NarHash::try_from(nar).map_err(|error| error.to_string())?;
        Ok(Hashed { nar_hash, nar_size, content })
    }

    /// Feeds the NAR, whose refusal counts, and the git object id, whose refusal leaves no hash behind.
    fn each(
        &mut self,
        mut nar: impl FnMut(
            &mut NarWriter<Counting<NarBytes>>,
        ) -> Result<(), narwarden_core::nar::NarError>,
        mut git: impl FnMut(&mut GitHasher) -> Result<(), narwarden_core::git_object::GitError>,
    ) -> Result<(), String> {
        if let Content::Git(hasher) = &mut self.content
            && hasher.as_mut().is_some_and(|hasher| git(hasher).is_err())
        {
            *hasher = None;
        }
        nar(&mut self.nar).map_err(|error| error.to_string())
    }

    /// Keeps the first object, which is the root.
    fn object(&mut self, found: Root) {
        if self.root == Root::NotSeen {
            self.root = found;
        }
    }
}

impl TreeSink for Sinks {
    type Error = String;

    fn begin_directory(&mut self) -> Result<(), String> {
        self.object(Root::Other);
        self.each(|it| it.begin_directory(), |it| it.begin_directory())
    }

    fn begin_entry(&mut self, name: &[u8]) -> Result<(), String> {
        self.each(|it| it.begin_entry(name), |it| it.begin_entry(name))
    }

    fn end_entry(&mut self) -> Result<(), String> {
        self.each(|it| it.end_entry(), |it| it.end_entry())
    }

    fn end_directory(&mut self) -> Result<(), String> {
        self.each(|it| it.end_directory(), |it| it.end_directory())
    }

    fn begin_file(&mut self, executable: Executable, size: u64) -> Result<(), String> {
        self.object(Root::File(executable));
        self.each(|it| it.begin_file(executable, size), |it| it.begin_file(executable, size))
    }

    fn contents(&mut self, bytes: &[u8]) -> Result<(), String> {
        if let Content::File(hasher) = &mut self.content {
            hasher.write(bytes);
        }
        self.each(|it| it.contents(bytes), |it| it.contents(bytes))
    }

    fn end_file(&mut self) -> Result<(), String> {
        self.each(|it| it.end_file(), |it| it.end_file())
    }

    fn symlink(&mut self, target: &[u8]) -> Result<(), String> {
        self.object(Root::Other);
        self.each(|it| it.symlink(target), |it| it.symlink(target))
    }
}
