//! A narinfo: what a binary cache says about one store path.
//!
//! ```text
//! narinfo = ( key ": " value LF )+
//! ```
//!
//! `StorePath`, `URL`, `NarHash` and `NarSize` are mandatory; `Compression`, `FileHash`, `FileSize`,
//! `References`, `Deriver` and `CA` may be missing; `Sig` may come more than once, none of the others
//! may. Keys unknown here are ignored. References and deriver are base names. All of it is a claim
//! until a signature over its fingerprint verifies, and that covers only the path, the NAR's hash
//! and size, and the references.
//! Source: Nix manual, "Binary Cache" (narinfo); Nix `src/libstore/nar-info.cc`.

use core::fmt;
use core::num::NonZeroU64;
use std::collections::BTreeMap;

use crate::content_address::{ContentAddress, ContentAddressError};
use crate::hash::{Hash, HashError, NarHash};
use crate::nix32::Excerpt;
use crate::signature::Signatures;
use crate::store_path::{StorePath, StorePathError};

/// Longest text read. The largest real ones, with thousands of references, have some hundred KiB.
pub const MAX_LEN: usize = 4 << 20;

/// The claims of a binary cache about one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NarInfo {
    /// The path.
    pub store_path: StorePath,
    /// Where the file is, relative to the cache.
    pub url: String,
    /// How the file is compressed; `bzip2` if nothing is said.
    pub compression: String,
    /// The hash of the file as it is served.
    pub file_hash: Option<Hash>,
    /// The size of the file as it is served.
    pub file_size: Option<u64>,
    /// The hash of the NAR.
    pub nar_hash: NarHash,
    /// The size of the NAR.
    pub nar_size: NonZeroU64,
    /// The references, sorted, each once; the path itself may be among them.
    pub references: Vec<StorePath>,
    /// The derivation the path was built from.
    pub deriver: Option<StorePath>,
    /// The signatures; printing leaves out those that were malformed.
    pub signatures: Signatures,
    /// What the contents hash to, if the path is said to be content-addressed.
    pub content_address: Option<ContentAddress>,
}

/// The keys that may come once, in the order of printing.
const SINGLE: [&str; 10] = [
    "StorePath",
    "URL",
    "Compression",
    "FileHash",
    "FileSize",
    "NarHash",
    "NarSize",
    "References",
    "Deriver",
    "CA",
];

impl NarInfo {
    /// Reads a whole narinfo.
    pub fn parse(text: &str) -> Result<Self, NarInfoError> {
        if text.len() > MAX_LEN {
            return Err(NarInfoError::TooLong { length: text.len() });
        }
        // Without it the last value may have been cut short, and a reference lost.
        let lines = text.strip_suffix('\n').ok_or(NarInfoError::Truncated)?;
        let (mut fields, mut signatures) = (BTreeMap::new(), Vec::new());
        for (line, number) in lines.split('\n').zip(1..) {
            let (key, value) = line.split_once(": ").ok_or(NarInfoError::Line { number })?;
            if key == "Sig" {
                signatures.push(value);
            } else if let Some(&key) = SINGLE.iter().find(|single| **single == key)
                && fields.insert(key, value).is_some()
            {
                return Err(NarInfoError::Duplicate { key });
            }
        }
        let field = |key| fields.get(key).copied();
        let mandatory = |key| field(key).ok_or(NarInfoError::Missing { key });
        let references = field("References").unwrap_or_default();
        let mut references = references
            .split(' ')
            .filter(|name| !name.is_empty())
            .map(|name| base_name("References", name))
            .collect::<Result<Vec<_>, _>>()?;
        references.sort_unstable();
        references.dedup();
        Ok(Self {
            store_path: StorePath::parse(mandatory("StorePath")?)
                .map_err(|error| NarInfoError::StorePath { key: "StorePath", error })?,
            url: word("URL", mandatory("URL")?)?,
            compression: word(
                "Compression",
                field("Compression").filter(|value| !value.is_empty()).unwrap_or("bzip2"),
            )?,
            file_hash: field("FileHash")
                .map(|value| hash("FileHash", Hash::parse(value)))
                .transpose()?,
            file_size: field("FileSize").map(|value| decimal("FileSize", value)).transpose()?,
            nar_hash: hash("NarHash", NarHash::parse(mandatory("NarHash")?))?,
            nar_size: NonZeroU64::new(decimal("NarSize", mandatory("NarSize")?)?)
                .ok_or(NarInfoError::Empty)?,
            references,
            deriver: field("Deriver")
                .filter(|value| *value != "unknown-deriver")
                .map(|value| base_name("Deriver", value))
                .transpose()?,
            signatures: signatures.into_iter().collect(),
            content_address: field("CA")
                .filter(|value| !value.is_empty())
                .map(ContentAddress::parse)
                .transpose()?,
        })
    }
}

fn base_name(key: &'static str, value: &str) -> Result<StorePath, NarInfoError> {
    StorePath::from_base_name(value).map_err(|error| NarInfoError::StorePath { key, error })
}

fn hash<T>(key: &'static str, hash: Result<T, HashError>) -> Result<T, NarInfoError> {
    hash.map_err(|error| NarInfoError::Hash { key, error })
}

/// A number as Nix prints it: no sign, no leading zero.
fn decimal(key: &'static str, value: &str) -> Result<u64, NarInfoError> {
    let number: Option<u64> = value.parse().ok();
    number
        .filter(|number| number.to_string() == value)
        .ok_or_else(|| NarInfoError::Number { key, value: Excerpt::of(value) })
}

fn word(key: &'static str, value: &str) -> Result<String, NarInfoError> {
    if value.is_empty() || value.contains(char::is_control) {
        return Err(NarInfoError::Word { key, value: Excerpt::of(value) });
    }
    Ok(value.to_owned())
}

impl fmt::Display for NarInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "StorePath: {}", self.store_path)?;
        writeln!(f, "URL: {}", self.url)?;
        writeln!(f, "Compression: {}", self.compression)?;
        if let Some(hash) = self.file_hash {
            writeln!(f, "FileHash: {hash}")?;
        }
        if let Some(size) = self.file_size {
            writeln!(f, "FileSize: {size}")?;
        }
        writeln!(f, "NarHash: {}", self.nar_hash)?;
        writeln!(f, "NarSize: {}", self.nar_size)?;
        let references: Vec<_> = self.references.iter().map(StorePath::base_name).collect();
        writeln!(f, "References: {}", references.join(" "))?;
        if let Some(deriver) = &self.deriver {
            writeln!(f, "Deriver: {}", deriver.base_name())?;
        }
        for signature in &self.signatures.well_formed {
            writeln!(f, "Sig: {signature}")?;
        }
        if let Some(address) = &self.content_address {
            writeln!(f, "CA: {address}")?;
        }
        Ok(())
    }
}

/// Why a text is not a narinfo.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NarInfoError {
    /// The content address is not one.
    #[error("CA: {0}")]
    ContentAddress(#[from] ContentAddressError),
    /// A key that may come once came twice: no telling which is meant.
    #[error("{key} comes more than once")]
    Duplicate {
        /// The key.
        key: &'static str,
    },
    /// No NAR has a size of 0; Nix writes it where it does not know.
    #[error("NarSize is 0")]
    Empty,
    /// A hash is not one.
    #[error("{key}: {error}")]
    Hash {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        error: HashError,
    },
    /// A line without `: ` in it.
    #[error("line {number} is not a key and a value")]
    Line {
        /// Which, from 1.
        number: usize,
    },
    /// A mandatory key is missing.
    #[error("{key} is missing")]
    Missing {
        /// The key.
        key: &'static str,
    },
    /// A number that is not one, or does not fit in 64 bits.
    #[error("{key}: \"{value}\" is not a size")]
    Number {
        /// The key.
        key: &'static str,
        /// The value.
        value: Excerpt,
    },
    /// A store path is not one.
    #[error("{key}: {error}")]
    StorePath {
        /// The key.
        key: &'static str,
        /// What is wrong with it.
        error: StorePathError,
    },
    /// Longer than [`MAX_LEN`].
    #[error("a narinfo of {length} bytes is too long")]
    TooLong {
        /// The length of the text.
        length: usize,
    },
    /// The last line has no end.
    #[error("the narinfo does not end with a newline")]
    Truncated,
    /// A text that is empty or has control characters.
    #[error("{key}: \"{value}\" is empty or has control characters")]
    Word {
        /// The key.
        key: &'static str,
        /// The value.
        value: Excerpt,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FULL: &str = "\
StorePath: /nix/store/0123456789abcdfghijklmnpqrsvwxyz-n
URL: nar/x.nar.xz
Compression: xz
FileHash: sha256:0000000000000000000000000000000000000000000000000000
FileSize: 0
NarHash: sha256:1111111111111111111111111111111111111111111111111111
NarSize: 112
References: 0123456789abcdfghijklmnpqrsvwxyz-n 1123456789abcdfghijklmnpqrsvwxyz-m
Deriver: 2123456789abcdfghijklmnpqrsvwxyz-n.drv
Sig: k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==
CA: fixed:r:sha256:0222222222222222222222222222222222222222222222222222
";

    #[test]
    fn hostile_texts_are_refused() {
        use NarInfoError::{Duplicate, Empty, Line, Missing, Truncated};
        let without = |key: &str| {
            let keep = |line: &&str| !line.starts_with(key);
            FULL.split_inclusive('\n').filter(keep).collect::<String>()
        };
        for (text, error) in [
            (String::new(), Truncated),
            ("\n".into(), Line { number: 1 }),
            (FULL.trim_end().into(), Truncated),
            (format!("{FULL}\n"), Line { number: 12 }),
            (FULL.replace("References: ", "References:"), Line { number: 8 }),
            (FULL.replace("Size: 112", "Size: 0"), Empty),
            (without("StorePath"), Missing { key: "StorePath" }),
            (without("URL"), Missing { key: "URL" }),
            (without("NarHash"), Missing { key: "NarHash" }),
            (FULL.replace("NarSize", "narsize"), Missing { key: "NarSize" }),
        ] {
            assert_eq!(NarInfo::parse(&text), Err(error), "{text}");
        }
        for key in SINGLE {
            let line = FULL.split_inclusive('\n').find(|line| line.starts_with(key)).unwrap();
            assert_eq!(NarInfo::parse(&format!("{FULL}{line}")), Err(Duplicate { key }));
        }
        for (from, to) in [
            ("\n", "\r\n"),
            ("Size: 112", "Size: +112"),
            ("Size: 112", "Size: 0112"),
            ("Size: 112", "Size: 18446744073709551616"),
            ("Size: 112", "Size: 112 "),
            ("NarHash: sha256:1111", "NarHash: sha512:1111"),
            ("References: ", "References: /nix/store/"),
            ("StorePath: /nix/store/", "StorePath: "),
            ("Deriver: 2", "Deriver: e"),
            ("fixed:r:", "fixed:z:"),
            ("nar/x", "nar/\x1b"),
        ] {
            assert!(NarInfo::parse(&FULL.replace(from, to)).is_err(), "{to:?}");
        }
        let long = format!("{FULL}X: {}\n", "x".repeat(MAX_LEN));
        assert_eq!(NarInfo::parse(&long), Err(NarInfoError::TooLong { length: long.len() }));
    }

    #[test]
    fn missing_and_unknown_keys() {
        let lines: String = FULL
            .split_inclusive('\n')
            .filter(|line| {
                ["StorePath", "URL", "NarHash", "NarSize"].iter().any(|k| line.starts_with(k))
            })
            .collect();
        let text = format!("{lines}Deriver: unknown-deriver\nX: \nX: \nCA: \nSig: junk\n");
        let info = NarInfo::parse(&text).unwrap();
        assert_eq!(info.compression, "bzip2");
        assert_eq!((info.file_hash, info.file_size, info.content_address), (None, None, None));
        assert_eq!((info.references, info.deriver), (vec![], None));
        assert_eq!((info.signatures.well_formed, info.signatures.malformed), (vec![], 1));
    }

    #[test]
    fn the_printed_form_is_canonical() {
        let info = NarInfo::parse(FULL).unwrap();
        assert_eq!(info.to_string(), FULL);
        let (head, rest) = FULL.split_once("References: ").unwrap();
        let (references, tail) = rest.split_once('\n').unwrap();
        let (one, other) = references.split_once(' ').unwrap();
        let shuffled = format!("{tail}References: {other}  {one} {other}\n{head}");
        assert_eq!(NarInfo::parse(&shuffled), Ok(info));
    }

    proptest! {
        #[test]
        fn print_and_parse_agree(
            size: NonZeroU64,
            file_size: Option<u64>,
            nar_hash: [u8; 32],
            names in prop::collection::vec(("[0-9a-d]{32}", "[a-z]{1,9}"), 0..9),
            keep in 0..8_u8,
        ) {
            let mut info = NarInfo::parse(FULL).unwrap();
            info.nar_size = size;
            info.file_size = file_size;
            info.nar_hash = NarHash::from_bytes(nar_hash);
            let path = |(hash, name): (String, String)| {
                StorePath::from_base_name(&format!("{hash}-{name}")).unwrap()
            };
            info.references = names.into_iter().map(path).collect();
            info.references.sort();
            info.references.dedup();
            if keep & 1 == 0 { info.deriver = None; }
            if keep & 2 == 0 { info.content_address = None; }
            if keep & 4 == 0 { info.file_hash = None; }
            prop_assert_eq!(NarInfo::parse(&info.to_string()), Ok(info));
        }

        #[test]
        fn no_text_panics(text: String, at in 0..FULL.len()) {
            let _ = NarInfo::parse(&text);
            let mut edited = FULL.to_owned();
            edited.replace_range(at..=at, &text);
            let _ = NarInfo::parse(&edited);
        }
    }
}
