//! Every text format, from outside: what is read prints as itself, in the one spelling there is; what was
//! damaged is refused or is another value; and no two claims share a fingerprint.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

use std::fmt::{Debug, Display};
use std::num::NonZeroU64;

use ed25519_dalek::{Signer as _, SigningKey};
use narwarden_core::content_address::{ContentAddress, Method, SelfReference};
use narwarden_core::fingerprint::fingerprint;
use narwarden_core::hash::{Algorithm, Hash, NarHash};
use narwarden_core::narinfo::NarInfo;
use narwarden_core::policy::Policy;
use narwarden_core::signature::{PublicKey, Signature, Signatures};
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::TrustSet;
use proptest::prelude::*;

const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::Blake3, Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];

const METHODS: [Method; 4] = [Method::Flat, Method::Git, Method::Nar, Method::Text];

fn store_path() -> impl Strategy<Value = StorePath> {
    // Few names, so that equal ones, and one that is the start of another, come up.
    let name = prop_oneof!["[a-c]{1,2}", "[0-9A-Za-z+\\-_?=][0-9A-Za-z+\\-._?=]{0,210}"];
    (prop_oneof![Just([0; 32]), any::<[u8; 32]>()], name)
        .prop_map(|(inner, name)| StorePath::make("source", &inner, &name).unwrap())
}

fn hash() -> impl Strategy<Value = Hash> {
    (prop::sample::select(&ALGORITHMS[..]), any::<[u8; 32]>()).prop_map(|(algorithm, half)| {
        Hash::new(algorithm, &[half, half].concat()[..algorithm.digest_len()]).unwrap()
    })
}

fn content_address() -> impl Strategy<Value = ContentAddress> {
    let any = (prop::sample::select(&METHODS[..]), hash());
    any.prop_map(|(method, hash)| ContentAddress { method, hash }).prop_filter(
        "an algorithm that the method takes",
        |address| match address.method {
            Method::Flat | Method::Nar => true,
            Method::Git => matches!(address.hash.algorithm(), Algorithm::Sha1 | Algorithm::Sha256),
            Method::Text => address.hash.algorithm() == Algorithm::Sha256,
        },
    )
}

fn key_name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z.]{1,12}-[0-9]", "[!-9;-~]{1,255}", "\u{fc}\u{6f22}-[0-9]"]
}

fn key() -> impl Strategy<Value = (SigningKey, PublicKey)> {
    (key_name(), any::<[u8; 32]>()).prop_map(|(name, seed)| {
        let secret = SigningKey::from_bytes(&seed);
        let text = data_encoding::BASE64.encode(secret.verifying_key().as_bytes());
        (secret, PublicKey::parse(&format!("{name}:{text}")).unwrap())
    })
}

fn sign(secret: &SigningKey, name: &str, message: &[u8]) -> Signature {
    let bytes = data_encoding::BASE64.encode(&secret.sign(message).to_bytes());
    Signature::parse(&format!("{name}:{bytes}")).unwrap()
}

prop_compose! {
    fn narinfo()(
        store_path in store_path(),
        url in "[!-~]{1,40}",
        compression in "[a-z0-9]{1,8}",
        file_hash in prop::option::of(hash()),
        file_size: Option<u64>,
        nar_hash: [u8; 32],
        nar_size: NonZeroU64,
        references in prop::collection::btree_set(store_path(), 0..6),
        deriver in prop::option::of(store_path()),
        keys in prop::collection::vec(key(), 0..3),
        content_address in prop::option::of(content_address()),
    ) -> NarInfo {
        let nar_hash = NarHash::from_bytes(nar_hash);
        let references = Vec::from_iter(references);
        let message = fingerprint(&store_path, &nar_hash, nar_size, &references);
        let sign = |(secret, public): &(SigningKey, PublicKey)| {
            sign(secret, public.name().as_str(), message.as_bytes()).to_string()
        };
        let signatures: Vec<_> = keys.iter().map(sign).collect();
        let signatures: Signatures = signatures.iter().map(String::as_str).collect();
        NarInfo {
            store_path, url, compression, file_hash, file_size, nar_hash, nar_size, references,
            deriver, signatures, content_address,
        }
    }
}

/// Ways to damage a text that are likelier to go unnoticed than random ones.
#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Insert(prop::sample::Index, String),
    Remove(prop::sample::Index, u8),
    Double(prop::sample::Index, u8),
    Swap(prop::sample::Index),
    Case(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<prop::sample::Index>;
    let hostile = [
        "\0",
        "\n",
        "\r",
        "\r\n",
        " ",
        "\t",
        ":",
        "-",
        "/",
        ".",
        "..",
        "=",
        "==",
        "+",
        "\u{1b}[2J",
        "\u{feff}",
        "\u{200b}",
        "\u{202e}",
        "0",
        "A",
        "e",
        ";",
        ",",
        "\u{e9}",
        "sha256:",
        "fixed:",
    ];
    let hostile = prop::sample::select(hostile.map(str::to_owned).to_vec());
    prop_oneof![
        (index(), any::<u8>()).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        (index(), hostile).prop_map(|(at, text)| Damage::Insert(at, text)),
        (index(), 1..9_u8).prop_map(|(at, count)| Damage::Remove(at, count)),
        (index(), 1..60_u8).prop_map(|(at, count)| Damage::Double(at, count)),
        index().prop_map(Damage::Swap),
        index().prop_map(Damage::Case),
    ]
}

impl Damage {
    fn apply(&self, text: &str) -> String {
        let mut bytes = text.as_bytes().to_vec();
        let len = bytes.len();
        match self {
            Self::Flip(at, bit) => bytes[at.index(len)] ^= 1 << (bit % 8),
            Self::Insert(at, text) => {
                let at = at.index(len + 1);
                bytes.splice(at..at, text.bytes());
            }
            Self::Remove(at, count) => {
                let at = at.index(len);
                bytes.drain(at..len.min(at + usize::from(*count)));
            }
            Self::Double(at, count) => {
                let at = at.index(len);
                let piece = bytes[at..len.min(at + usize::from(*count))].to_vec();
                bytes.splice(at..at, piece);
            }
            Self::Swap(at) if len > 1 => {
                let at = at.index(len - 1);
                bytes.swap(at, at + 1);
            }
            Self::Swap(_) => {}
            Self::Case(at) => bytes[at.index(len)] ^= 0x20,
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A format with one spelling: `value` survives its text, and a damaged text that is read all the same prints
/// as it stands, so that it is another value unless the damage changed nothing.
fn one_spelling<T: Display + PartialEq + Debug, E: Debug>(
    value: &T,
    damage: &[Damage],
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<(), TestCaseError> {
    let text = value.to_string();
    prop_assert_eq!(&parse(&text).unwrap(), value);
    let damaged = damage.iter().fold(text.clone(), |text, damage| match text.is_empty() {
        true => text,
        false => damage.apply(&text),
    });
    if let Ok(read) = parse(&damaged) {
        prop_assert_eq!(read.to_string(), damaged.clone());
        prop_assert_eq!(read == *value, damaged == text);
    }
    Ok(())
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec(damage(), 1..4)
}

/// Padding ends base64. A decoder that reads on has as many spellings of a signature as it has groups of four.
#[test]
fn base64_with_padding_in_the_middle_is_refused() {
    let spellings = |bytes: &[u8]| -> Vec<String> {
        let whole = data_encoding::BASE64.encode(bytes);
        let missing = whole.len() / 4 * 3 - bytes.len();
        // The same length and the same bytes, with a padded group before the last.
        let at = |end: usize| {
            let (head, tail) = bytes.split_at(end);
            [head, tail].map(|part| data_encoding::BASE64.encode(part)).concat()
        };
        let ends = (1..bytes.len() - 1).map(at).filter(|text| text.len() == whole.len());
        let ends: Vec<_> = ends.filter(|text| *text != whole).collect();
        assert!(ends.len() >= 9 * missing, "{ends:?}");
        ends
    };
    let secret = SigningKey::from_bytes(&[7; 32]);
    let (public, signature) = (secret.verifying_key(), secret.sign(b"x").to_bytes());
    for text in spellings(&signature) {
        assert!(Signature::parse(&format!("k:{text}")).is_err(), "{text}");
        let column = Signatures::parse_column(&format!("k:{text}"));
        assert_eq!((column.well_formed.len(), column.malformed), (0, 1), "{text}");
    }
    for text in spellings(public.as_bytes()) {
        assert!(PublicKey::parse(&format!("k:{text}")).is_err(), "{text}");
        for text in [format!("sha256-{text}"), format!("sha256:{text}")] {
            assert!(Hash::parse(&text).is_err() && NarHash::parse(&text).is_err(), "{text}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn store_paths_have_one_spelling(path in store_path(), damages in damages()) {
        one_spelling(&path, &damages, StorePath::parse)?;
        prop_assert_eq!(StorePath::from_base_name(path.base_name()), Ok(path.clone()));
        prop_assert_eq!(format!("{}-{}", path.hash_part(), path.name()), path.base_name());
    }

    #[test]
    fn signatures_have_one_spelling(
        (secret, public) in key(), message: [u8; 32], damages in damages(),
    ) {
        let signature = sign(&secret, public.name().as_str(), &message);
        one_spelling(&signature, &damages, Signature::parse)?;
        prop_assert!(public.verifies(&message, &signature));
        // Damaged, it verifies no more, whatever it still reads as.
        let damaged = damages[0].apply(&signature.to_string());
        if let Ok(damaged) = Signature::parse(&damaged) {
            prop_assert!(damaged == signature || !public.verifies(&message, &damaged));
        }
        // In a column it is one token, and never joined with another or split by damage into two good ones.
        let column = Signatures::parse_column(&format!("{signature} {damaged}"));
        prop_assert!(column.well_formed.contains(&signature));
        let good = column.well_formed.iter().filter(|it| public.verifies(&message, it)).count();
        prop_assert_eq!(good, 1);
    }

    #[test]
    fn public_keys_have_one_spelling((_, public) in key(), damages in damages()) {
        one_spelling(&public, &damages, PublicKey::parse)?;
    }

    #[test]
    fn hashes_have_four_spellings(hash in hash(), damages in damages()) {
        let spellings = |hash: &Hash| {
            let base64 = hash.to_sri().replacen('-', ":", 1);
            [hash.to_nix32(), hash.to_base16(), hash.to_sri(), base64]
        };
        for text in spellings(&hash) {
            prop_assert_eq!(Hash::parse(&text), Ok(hash));
            let damaged = damages[0].apply(&text);
            if let Ok(read) = Hash::parse(&damaged) {
                let spelt = spellings(&read);
                // Base 16 alone is read in either case, and only its digits are.
                let (algorithm, digits) = damaged.split_once([':', '-']).unwrap();
                let lower = format!("{algorithm}:{}", digits.to_ascii_lowercase());
                prop_assert!(spelt.contains(&damaged) || spelt[1] == lower, "{}", damaged);
                prop_assert_eq!(read == hash, spelt == spellings(&hash));
            }
            let sha256 = NarHash::parse(&text);
            prop_assert_eq!(sha256.is_ok(), hash.algorithm() == Algorithm::Sha256);
        }
        prop_assert_eq!(hash.to_string(), hash.to_nix32());
    }

    #[test]
    fn content_addresses_survive(address in content_address(), damages in damages()) {
        let text = address.to_string();
        prop_assert_eq!(ContentAddress::parse(&text), Ok(address));
        if let Ok(read) = ContentAddress::parse(&damages[0].apply(&text)) {
            prop_assert_eq!(ContentAddress::parse(&read.to_string()), Ok(read));
        }
    }

    /// A path commits to the method, the hash, the name, the references and whether it names itself.
    #[test]
    fn content_addresses_bind_all_they_say(
        one in content_address(),
        other in content_address(),
        names in ("[a-c]{1,2}", "[a-c]{1,2}"),
        references in prop::collection::vec(store_path(), 0..4),
        drop in any::<prop::sample::Index>(),
        to_itself: bool,
    ) {
        let of = |it: &ContentAddress, name: &str, references: &[StorePath], yes: bool| {
            let to_itself = if yes { SelfReference::Yes } else { SelfReference::No };
            it.store_path(name, references, to_itself).ok()
        };
        let Some(path) = of(&one, &names.0, &references, to_itself) else { return Ok(()) };
        let different = |found: Option<StorePath>, same: bool| -> Result<(), TestCaseError> {
            if let Some(found) = found {
                prop_assert_eq!(found == path, same);
            }
            Ok(())
        };
        different(of(&other, &names.0, &references, to_itself), one == other)?;
        different(of(&one, &names.1, &references, to_itself), names.0 == names.1)?;
        different(of(&one, &names.0, &references, !to_itself), false)?;
        if !references.is_empty() {
            let mut fewer = references.clone();
            let dropped = fewer.remove(drop.index(fewer.len()));
            let same = fewer.contains(&dropped);
            different(of(&one, &names.0, &fewer, to_itself), same)?;
            fewer.reverse();
            fewer.push(dropped);
            different(of(&one, &names.0, &fewer, to_itself), true)?;
        }
    }

    #[test]
    fn narinfos_survive(info in narinfo(), damages in damages()) {
        let text = info.to_string();
        prop_assert_eq!(NarInfo::parse(&text).unwrap(), info);
        let damaged = damages.iter().fold(text, |text, damage| damage.apply(&text));
        if let Ok(read) = NarInfo::parse(&damaged) {
            let again = NarInfo::parse(&read.to_string()).unwrap();
            prop_assert_eq!(&again.signatures.well_formed, &read.signatures.well_formed);
            prop_assert_eq!(again.to_string(), read.to_string());
        }
    }

    /// What is signed says everything that it should say, and can be read in one way only.
    #[test]
    fn no_two_claims_share_a_fingerprint(
        one in narinfo(),
        other in narinfo(),
        take in prop::array::uniform4(any::<bool>()),
    ) {
        let pick = |from_other: bool| if from_other { &other } else { &one };
        let mixed = (
            &pick(take[0]).store_path,
            &pick(take[1]).nar_hash,
            pick(take[2]).nar_size,
            &pick(take[3]).references,
        );
        let original = (&one.store_path, &one.nar_hash, one.nar_size, &one.references);
        let print = |it: (&StorePath, &NarHash, NonZeroU64, &Vec<StorePath>)| {
            fingerprint(it.0, it.1, it.2, it.3)
        };
        prop_assert_eq!(print(mixed) == print(original), mixed == original);
    }

    #[test]
    fn no_rules_panic(text in hostile_toml()) {
        for text in [text.clone(), format!("[keys]\n{text}"), format!("[require]\n{text}")] {
            for rejected in [TrustSet::parse(&text).err(), Policy::parse(&text).err()] {
                for remark in rejected.into_iter().flat_map(|it| it.0) {
                    prop_assert!(remark.span.start <= remark.span.end, "{:?}", remark);
                    prop_assert!(text.get(remark.span.clone()).is_some(), "{:?}", remark);
                }
            }
        }
    }
}

/// Lines as of a trust set or policy, with odd values.
fn hostile_toml() -> impl Strategy<Value = String> {
    let field = prop::sample::select(vec![
        "version",
        "expires",
        "[keys]",
        "[roles]",
        "k",
        "k.public",
        "k.revoked",
        "default",
        "[require]",
        "[[require.rule]]",
        "name",
        "all",
        "any",
        "threshold",
        "of",
        "[[deny]]",
        "reason",
        "nar-hash",
        "path",
        "[gate]",
        "deadline",
        "mode",
        "observe-until",
        "weak-content-address",
        "metadata",
    ]);
    let value = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| format!("{text:?}")),
        Just("9999-12-31".to_owned()),
        Just("0000-01-01T00:00:00-23:59".to_owned()),
        Just("-0001-01-01".to_owned()),
        Just("1979-05-27T07:32:60Z".to_owned()),
        Just("07:32:00".to_owned()),
        Just("nan".to_owned()),
        Just("\"any\"".to_owned()),
        Just("[]".to_owned()),
        Just("{ keys = [\"k\"], threshold = 4294967295 }".to_owned()),
        Just("{ public = \"k:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\" }".to_owned()),
        Just("{ threshold = 1, of = [{ all = [\"any\"] }, \"x\"] }".to_owned()),
        Just("\u{202e}\u{1b}[2J".to_owned()),
        (1..40_usize).prop_map(|deep| format!(
            "{}\"any\"{}",
            "{ any = [".repeat(deep),
            "] }".repeat(deep)
        )),
    ];
    let line = (field, value).prop_map(|(field, value)| match field.starts_with('[') {
        true => format!("{field}\n"),
        false => format!("{field} = {value}\n"),
    });
    prop::collection::vec(line, 0..8).prop_map(|lines| lines.concat())
}
