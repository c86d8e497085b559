//! File names and link targets, which may hold any byte, as text that says all of them.
//!
//! ```text
//! text = *( plain | "%" 2 upper-case hex digits )
//! ```
//!
//! One text for each name: what is not written like this is not read.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};

/// What stands for itself: all that Nix puts in names, and the slash.
fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"/+-._?=".contains(&byte)
}

/// Writes a name.
///
/// ```
/// use narwardend::state::raw_name::encode;
///
/// assert_eq!(encode("system-1-link".as_ref()), "system-1-link");
/// assert_eq!(encode("a b%\n".as_ref()), "a%20b%25%0A");
/// ```
#[must_use]
pub fn encode(name: &OsStr) -> String {
    let mut text = String::with_capacity(name.len());
    for byte in name.as_bytes() {
        if plain(*byte) {
            text.push(char::from(*byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}

/// Reads what [`encode`] wrote.
#[must_use]
pub fn decode(text: &str) -> Option<OsString> {
    let mut name = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if plain(*first) {
            name.push(*first);
            rest = after;
        } else if let (b'%', Some((digits, after))) = (first, after.split_at_checked(2)) {
            let byte = data_encoding::HEXUPPER.decode(digits).ok()?;
            name.extend(byte.iter().filter(|byte| !plain(**byte)));
            rest = after;
        } else {
            return None;
        }
    }
    let name = OsString::from_vec(name);
    (encode(&name) == text).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_what_was_written_is_read() {
        for text in ["%", "%4", "%41", "%0a", "%GG", "a b", "\u{e4}", "%25%", "a\0"] {
            assert_eq!(decode(text), None, "{text:?}");
        }
        assert_eq!(decode(""), Some(OsString::new()));
    }

    proptest! {
        #[test]
        fn every_name_comes_back(bytes: Vec<u8>) {
            let name = OsString::from_vec(bytes);
            prop_assert_eq!(decode(&encode(&name)), Some(name));
        }

        #[test]
        fn one_text_for_each_name(text: String) {
            if let Some(name) = decode(&text) {
                prop_assert_eq!(encode(&name), text);
            }
        }
    }
}
