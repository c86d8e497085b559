//! What decodes is the one spelling of its bytes, and every text of bytes decodes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narwarden_core::nix32::{Excerpt, decode, encode};

fn spelling<const N: usize>(text: &str, bytes: &[u8]) {
    if let Ok(decoded) = decode::<N>(text) {
        assert_eq!(encode(&decoded), text);
    }
    if let Ok(bytes) = <[u8; N]>::try_from(bytes) {
        assert_eq!(decode(&encode(&bytes)), Ok(bytes));
    }
}

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    spelling::<0>(&text, bytes);
    spelling::<16>(&text, bytes);
    spelling::<20>(&text, bytes);
    spelling::<32>(&text, bytes);
    spelling::<64>(&text, bytes);
    let excerpt = Excerpt::of(bytes).to_string();
    assert!(excerpt.chars().count() <= Excerpt::MAX_CHARS + 1);
    assert!(!excerpt.contains(char::is_control));
});
