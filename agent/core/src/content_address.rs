//! Content addresses: the `ca` text, and the store path that one proves.
//!
//! ```text
//! ca     = "text:" hash | "fixed:" [ "r:" | "git:" ] hash  ; hash = algorithm ":" digest
//!
//! path   = make( "text" refs, digest, name )               ; text, sha256 only
//!        | make( "source" refs [ ":self" ], digest, name ) ; NAR with sha256
//!        | make( "output:out", inner, name )               ; all else, without references
//! refs   = ( ":" full-path )*                              ; sorted, without the path itself
//! inner  = sha256( "fixed:out:" [ "r:" | "git:" ] algorithm ":" hex(digest) ":" )
//! ```
//!
//! `make` is [`StorePath::make`]. An equal path proves only that this `ca` and these references
//! belong to it: the contents must still be hashed to the digest.
//! Source: Nix manual, "Complete Store Path Calculation" and "Store Object Content Addressing"; Nix
//! `src/libstore/content-address.cc`, `store-dir-config.cc`.

use core::fmt;

use crate::hash::{self, Algorithm, Hash, HashError};
use crate::nix32::Excerpt;
use crate::store_path::{StorePath, StorePathError};

/// How a store object is turned into the bytes that are hashed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Method {
    /// The bytes of one regular file.
    Flat,
    /// Git objects.
    Git,
    /// The NAR, modulo self-references.
    Nar,
    /// The bytes of one regular file, which may refer to other paths.
    Text,
}

impl Method {
    /// What stands before the hash.
    const fn prefix(self) -> &'static str {
        match self {
            Self::Flat => "fixed:",
            Self::Git => "fixed:git:",
            Self::Nar => "fixed:r:",
            Self::Text => "text:",
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Flat => "flat",
            Self::Git => "git",
            Self::Nar => "nar",
            Self::Text => "text",
        })
    }
}

/// Whether a store object refers to its own path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfReference {
    /// It does not.
    No,
    /// It does.
    Yes,
}

/// What the contents of a store object hash to, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentAddress {
    /// From object to bytes.
    pub method: Method,
    /// From bytes to hash.
    pub hash: Hash,
}

impl ContentAddress {
    /// Reads a `ca` text; not the empty one, by which the database means that there is none.
    pub fn parse(text: &str) -> Result<Self, ContentAddressError> {
        // `fixed:` starts the other two, so it comes last.
        let (method, hash) = [Method::Text, Method::Nar, Method::Git, Method::Flat]
            .into_iter()
            .find_map(|method| Some((method, text.strip_prefix(method.prefix())?)))
            .ok_or_else(|| ContentAddressError::NoMethod { text: Excerpt::of(text) })?;
        let address = Self { method, hash: Hash::parse_prefixed(hash)? };
        address.check_algorithm()?;
        Ok(address)
    }

    /// The path of a store object with this content address, name and references.
    ///
    /// `references` are those to other paths, in any order.
    pub fn store_path(
        &self,
        name: &str,
        references: &[StorePath],
        self_reference: SelfReference,
    ) -> Result<StorePath, ContentAddressError> {
        self.check_algorithm()?;
        let Self { method, hash } = *self;
        let algorithm = hash.algorithm();
        let (kind, inner) = match (method, hash.as_sha256(), self_reference) {
            (Method::Text, Some(&digest), SelfReference::No) => {
                (format!("text{}", joined(references)), digest)
            }
            (Method::Nar, Some(&digest), SelfReference::No) => {
                (format!("source{}", joined(references)), digest)
            }
            (Method::Nar, Some(&digest), SelfReference::Yes) => {
                (format!("source{}:self", joined(references)), digest)
            }
            (Method::Text | Method::Flat | Method::Git, _, SelfReference::Yes)
            | (Method::Nar, None, SelfReference::Yes) => {
                return Err(ContentAddressError::SelfReference { method, algorithm });
            }
            (Method::Text, None, SelfReference::No) => {
                return Err(ContentAddressError::Algorithm { method, algorithm });
            }
            (Method::Flat | Method::Git, _, SelfReference::No)
            | (Method::Nar, None, SelfReference::No) => {
                if !references.is_empty() {
                    return Err(ContentAddressError::References { method, algorithm });
                }
                let prefix = method.prefix().trim_start_matches("fixed:");
                let inner = format!("fixed:out:{prefix}{}:", hash.to_base16());
                ("output:out".to_owned(), hash::sha256(inner.as_bytes()))
            }
        };
        Ok(StorePath::make(&kind, &inner, name)?)
    }

    fn check_algorithm(&self) -> Result<(), ContentAddressError> {
        let algorithm = self.hash.algorithm();
        let known = match self.method {
            Method::Flat | Method::Nar => true,
            Method::Git => matches!(algorithm, Algorithm::Sha1 | Algorithm::Sha256),
            Method::Text => algorithm == Algorithm::Sha256,
        };
        let method = self.method;
        if known { Ok(()) } else { Err(ContentAddressError::Algorithm { method, algorithm }) }
    }
}

impl fmt::Display for ContentAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.method.prefix(), self.hash)
    }
}

/// Each reference once, in order, with a colon before.
fn joined(references: &[StorePath]) -> String {
    let mut sorted: Vec<_> = references.iter().collect();
    sorted.sort_unstable();
    sorted.dedup();
    sorted.into_iter().map(|reference| format!(":{reference}")).collect()
}

/// Why a text is no content address, or a content address has no store path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContentAddressError {
    /// The method does not go with the algorithm.
    #[error("the content address method {method} does not go with {algorithm}")]
    Algorithm {
        /// The method.
        method: Method,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// The hash is not one.
    #[error("the content address has a bad hash: {0}")]
    Hash(#[from] HashError),
    /// The name can be in no store path.
    #[error(transparent)]
    Name(#[from] StorePathError),
    /// It starts neither with `text:` nor with `fixed:`.
    #[error("\"{text}\" is not a content address")]
    NoMethod {
        /// The text.
        text: Excerpt,
    },
    /// Such an object cannot refer to other paths.
    #[error("an object content-addressed by {method} and {algorithm} cannot have references")]
    References {
        /// The method.
        method: Method,
        /// The algorithm.
        algorithm: Algorithm,
    },
    /// Such an object cannot refer to itself.
    #[error("an object content-addressed by {method} and {algorithm} cannot refer to itself")]
    SelfReference {
        /// The method.
        method: Method,
        /// The algorithm.
        algorithm: Algorithm,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::hash::NarHash;
    use crate::nar::NarWriter;
    use crate::self_reference::SelfReferenceHasher;
    use crate::sink::{Executable, TreeSink};

    const METHODS: [Method; 4] = [Method::Flat, Method::Git, Method::Nar, Method::Text];

    fn hash(algorithm: Algorithm) -> Hash {
        Hash::new(algorithm, &[7; 64][..algorithm.digest_len()]).unwrap()
    }

    fn reference(name: &str) -> StorePath {
        StorePath::make("source", &[1; 32], name).unwrap()
    }

    #[test]
    fn hostile_texts_are_refused() {
        let sha1 = hash(Algorithm::Sha1);
        let sha256 = hash(Algorithm::Sha256);
        let md5 = hash(Algorithm::Md5);
        for text in [
            "",
            "text",
            "text:",
            "fixed",
            "fixed:",
            "fixed:r:",
            "fixed:z:",
            "fixed:sha256",
            &format!("text:{sha1}"),
            &format!("text:r:{sha256}"),
            &format!("fixed:git:{md5}"),
            &format!("fixed:r:r:{sha256}"),
            &format!("fixed:r:git:{sha256}"),
            &format!("fixed:r:{}", sha256.to_sri()),
            &format!("fixed: {sha256}"),
            &format!("FIXED:{sha256}"),
            &format!("{sha256}"),
            &format!("text:{sha256}\n"),
        ] {
            assert!(ContentAddress::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn disallowed_combinations() {
        use ContentAddressError::{Algorithm as Bad, References, SelfReference as Itself};
        let others = [reference("a")];
        for method in METHODS {
            for algorithm in [Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512]
            {
                let address = ContentAddress { method, hash: hash(algorithm) };
                let path = |references: &[_], itself| address.store_path("n", references, itself);
                let sha256 = algorithm == Algorithm::Sha256;
                let known = match method {
                    Method::Flat | Method::Nar => true,
                    Method::Git => sha256 || algorithm == Algorithm::Sha1,
                    Method::Text => sha256,
                };
                let [plain, with_others, with_itself] = [
                    path(&[], SelfReference::No),
                    path(&others, SelfReference::No),
                    path(&[], SelfReference::Yes),
                ];
                if !known {
                    let bad = Err(Bad { method, algorithm });
                    assert_eq!([plain, with_others, with_itself], [bad.clone(), bad.clone(), bad]);
                    continue;
                }
                assert!(plain.is_ok());
                if sha256 && matches!(method, Method::Nar | Method::Text) {
                    assert!(with_others.is_ok_and(|path| path != plain.unwrap()));
                } else {
                    assert_eq!(with_others, Err(References { method, algorithm }));
                }
                if sha256 && method == Method::Nar {
                    assert!(with_itself.is_ok());
                } else {
                    assert_eq!(with_itself, Err(Itself { method, algorithm }));
                }
            }
        }
        let address = ContentAddress { method: Method::Nar, hash: hash(Algorithm::Sha256) };
        assert!(address.store_path("a/b", &[], SelfReference::No).is_err());
    }

    #[test]
    fn references_are_a_set() {
        let address = ContentAddress { method: Method::Text, hash: hash(Algorithm::Sha256) };
        let [a, b] = ["a", "b"].map(reference);
        let path = |references: &[_]| address.store_path("n", references, SelfReference::No);
        assert_eq!(path(&[a.clone(), b.clone()]), path(&[b.clone(), a.clone(), b]));
        assert_ne!(path(&[a]), path(&[]));
    }

    // The paths of this table were computed by Nix 2.8.0: `nix-store --print-fixed-path` and
    // `builtins.toFile`, for a file "f" that holds "hello\n".
    #[test]
    fn paths_that_nix_computes() {
        for (ca, path) in [
            ("fixed:md5:4425hx5d1mc9y39llj4k4nm55i", "7s9z2am75yq73wgn24qpijd5jf44vb5s-f"),
            ("fixed:r:md5:4ycxcbh0ac0abr4zxw23l6isnk", "9hcvjx6md70b79ffrd52lwwff7qzj79r-f"),
            ("fixed:sha1:iwjz551fyw0cxcjgf4l6c879zabd6wpm", "pbqmppvgnnyqxagz7bnmwfdfvr3h43f2-f"),
            ("fixed:r:sha1:wz60bbf44cw7nswp1wv8vcsyfg155sqd", "jq1d30ypzhhw6hhml61xjfndy39pcysv-f"),
            (
                "fixed:sha256:00xyyr3fi8l6hb839bv3f7yb86yjv7xi1cgh1xnhipym4asvb4aq",
                "1p9q0bz6f22dyxh4lw8xs08p4201vyq4-f",
            ),
            (
                "fixed:r:sha256:04zwf782yjwnh3q6hz5izfd6jyip8kgw6g6yj43fiqhbyhdd0dqw",
                "xp0dpr9yz5h0fk5c5lpj7zzqjbdh3w8c-f",
            ),
            (
                "text:sha256:00xyyr3fi8l6hb839bv3f7yb86yjv7xi1cgh1xnhipym4asvb4aq",
                "552f5r0wi8frys43livdhkagpkyfvjrv-f",
            ),
        ] {
            let address = ContentAddress::parse(ca).unwrap();
            let found = address.store_path("f", &[], SelfReference::No).unwrap();
            assert_eq!(found.base_name(), path, "{ca}");
        }
    }

    // As are these, by `builtins.toFile` and a build with `__contentAddressed`.
    #[test]
    fn paths_with_references_that_nix_computes() {
        let text = |name, contents: &str, references: &[_]| {
            let hash = NarHash::from_bytes(hash::sha256(contents.as_bytes())).into();
            let address = ContentAddress { method: Method::Text, hash };
            address.store_path(name, references, SelfReference::No).unwrap()
        };
        let dep = text("dep", "dep\n", &[]);
        assert_eq!(dep.base_name(), "7dqy57b9l845mpy3mn9jlzlvw2846g4i-dep");
        let other = text("other", "o\n", &[]);
        let both = text("withrefs", &format!("{other} {dep}\n"), &[other.clone(), dep.clone()]);
        assert_eq!(both.base_name(), "ah5pg05laiykqffwij8ikqd9j2ypvpyb-withrefs");

        let itself = StorePath::from_base_name("9s592jmz3gi83m8biz20qq0zgkrl93gn-self").unwrap();
        let contents = format!("{dep} {itself}\nx{itself}\n");
        let modulo = SelfReferenceHasher::new(itself.hash_part(), Algorithm::Sha256);
        let mut writer = NarWriter::new(modulo);
        writer.begin_file(Executable::No, contents.len() as u64).unwrap();
        writer.contents(contents.as_bytes()).unwrap();
        writer.end_file().unwrap();
        let modulo = writer.finish().unwrap().finish();
        assert_eq!(modulo.occurrences, 2);
        let address = ContentAddress { method: Method::Nar, hash: modulo.strict.unwrap() };
        let ca = "fixed:r:sha256:0fkwcaa3cvxg4g8r1v5lnyzixyawm7vghcgjlxn9n884zi4n7gwa";
        assert_eq!(address.to_string(), ca);
        assert_eq!(address.store_path("self", &[dep], SelfReference::Yes), Ok(itself));
    }

    proptest! {
        #[test]
        fn text_survives(pick in 0..4_usize, bytes: [u8; 32]) {
            let method = METHODS[pick];
            let address = ContentAddress { method, hash: Hash::new(Algorithm::Sha256, &bytes).unwrap() };
            prop_assert_eq!(ContentAddress::parse(&address.to_string()), Ok(address));
            let base16 = format!("{}{}", method.prefix(), address.hash.to_base16());
            prop_assert_eq!(ContentAddress::parse(&base16), Ok(address));
        }

        #[test]
        fn no_text_panics(text: String) {
            let _ = ContentAddress::parse(&text);
            let _ = ContentAddress::parse(&format!("fixed:{text}"));
        }
    }
}
