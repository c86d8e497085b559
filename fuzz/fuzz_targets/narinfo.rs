//! A narinfo that is read prints in a form that reads as the same, but for what was malformed.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narwarden_core::narinfo::NarInfo;

fuzz_target!(|text: &str| {
    if let Ok(mut info) = NarInfo::parse(text) {
        info.signatures.malformed = 0;
        let printed = info.to_string();
        assert_eq!(NarInfo::parse(&printed), Ok(info));
    }
});
