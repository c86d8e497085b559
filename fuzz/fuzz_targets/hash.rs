//! Hashes, content addresses and store paths: what is read prints as one of its spellings, and is read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narwarden_core::content_address::{ContentAddress, SelfReference};
use narwarden_core::hash::{Hash, NarHash};
use narwarden_core::store_path::StorePath;

fuzz_target!(|text: &str| {
    if let Ok(hash) = Hash::parse(text) {
        let spellings = [hash.to_nix32(), hash.to_base16(), hash.to_sri()];
        for spelling in &spellings {
            assert_eq!(Hash::parse(spelling), Ok(hash));
        }
        let base64 = spellings[2].replacen('-', ":", 1);
        assert!(
            base64 == text
                || spellings.iter().any(|spelling| spelling == text)
                || spellings[1].eq_ignore_ascii_case(text)
        );
    }
    if let Ok(hash) = NarHash::parse(text) {
        assert_eq!(NarHash::parse(&hash.to_string()), Ok(hash));
    }
    if let Ok(address) = ContentAddress::parse(text) {
        assert_eq!(ContentAddress::parse(&address.to_string()), Ok(address));
        for to_itself in [SelfReference::No, SelfReference::Yes] {
            if let Ok(path) = address.store_path("name", &[], to_itself) {
                assert_eq!(path.name(), "name");
            }
        }
    }
    for path in [StorePath::parse(text), StorePath::parse(&format!("/nix/store/{text}"))] {
        if let Ok(path) = path {
            assert!(path.to_string() == text || path.base_name() == text);
            assert_eq!(StorePath::from_base_name(path.base_name()), Ok(path));
        }
    }
});
