use proptest::prelude::*;

use super::*;

const ALL: [Algorithm; 5] =
    [Algorithm::Blake3, Algorithm::Md5, Algorithm::Sha1, Algorithm::Sha256, Algorithm::Sha512];

#[test]
fn hostile_texts_are_refused() {
    let too_long = "1".repeat(1 << 20);
    for text in [
        "",
        "sha256",
        "sha256:",
        "sha256-",
        ":",
        "SHA256:0000000000000000000000000000000000000000000000000000",
        "sha3:0000000000000000000000000000000000000000000000000000",
        // spare bits in nix32, in base64; no padding; URL alphabet; white space
        "sha256:z000000000000000000000000000000000000000000000000000",
        "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAB=",
        "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "sha1--AAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "md5-AAAAAAAAAAAAAAAAAAAAAA=\n",
        "md5:AAAAAAAAAAAAAAAAAAAAAA=\n",
        // SRI takes base64 only
        "md5-00000000000000000000000000000000",
        "md5:0000000000000000000000000000000g",
        "md5: 0000000000000000000000000000000",
        &too_long,
    ] {
        let error = Hash::parse(text).unwrap_err().to_string();
        assert!(error.len() < 200 && !error.contains('\n'), "{error}");
    }
    assert!(Hash::parse_prefixed("md5-1B2M2Y8AsgTpgAmY7PhCfg==").is_err());
}

#[test]
fn published_digests() {
    // RFC 1321 A.5, FIPS 180-2 examples and the BLAKE3 specification, for no and for "abc".
    for (algorithm, text, digest) in [
        (Algorithm::Md5, "", "d41d8cd98f00b204e9800998ecf8427e"),
        (Algorithm::Sha1, "abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        (
            Algorithm::Sha256,
            "abc",
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        ),
        (
            Algorithm::Sha512,
            "abc",
            "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
             2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
        ),
        (Algorithm::Blake3, "", "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
    ] {
        let mut hasher = Hasher::new(algorithm);
        hasher.write(text.as_bytes());
        let hash = hasher.finish();
        assert_eq!(hash.to_base16(), format!("{algorithm}:{digest}"));
        assert_eq!(Hash::parse(&format!("{algorithm}:{}", digest.to_uppercase())), Ok(hash));
    }
    let hash = NarHash::from_bytes(sha256(b"abc"));
    assert_eq!(hash.to_string(), "sha256:1b8m03r63zqhnjf7l5wnldhh7c134ap5vpj0850ymkq1iyzicy5s");
    assert_eq!(hash.to_sri(), "sha256-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

#[test]
fn nar_hashes_are_sha256() {
    assert_eq!(
        NarHash::parse("md5:d41d8cd98f00b204e9800998ecf8427e"),
        Err(HashError::NotSha256 { found: Algorithm::Md5 })
    );
    let blake3 = Hash::new(Algorithm::Blake3, &[7; 32]).unwrap();
    assert!(NarHash::try_from(blake3).is_err());
}

proptest! {
    #[test]
    fn every_spelling_survives(pick in 0..5_usize, bytes: [u8; 32], more: [u8; 32]) {
        let algorithm = ALL[pick];
        let bytes = [bytes, more].concat();
        let hash = Hash::new(algorithm, &bytes[..algorithm.digest_len()]).unwrap();
        let base64 = hash.to_sri().replace('-', ":");
        for text in [hash.to_nix32(), hash.to_base16(), hash.to_sri(), base64] {
            prop_assert_eq!(Hash::parse(&text), Ok(hash));
        }
        prop_assert!(Hash::new(algorithm, &bytes[..algorithm.digest_len() - 1]).is_err());
        prop_assert_eq!(Algorithm::parse(algorithm.name()), Ok(algorithm));
    }

    #[test]
    fn no_text_panics(text: String, tail: String) {
        let _ = Hash::parse(&text);
        let _ = Hash::parse(&format!("sha256:{tail}"));
    }
}
