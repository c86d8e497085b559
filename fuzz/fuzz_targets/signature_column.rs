//! Signatures of a column are read one by one: junk is counted, and good ones print as they stood.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narwarden_core::signature::{PublicKey, Signature, Signatures};

fuzz_target!(|text: &str| {
    let found = Signatures::parse_column(text);
    let tokens: Vec<_> = text.split(' ').filter(|token| !token.is_empty()).collect();
    let malformed = tokens.iter().filter(|token| Signature::parse(token).is_err()).count();
    assert_eq!(found.malformed, malformed as u64);
    let mut printed: Vec<_> = found.well_formed.iter().map(Signature::to_string).collect();
    assert!(printed.iter().all(|signature| tokens.contains(&signature.as_str())));
    assert!(found.well_formed.len() + malformed <= tokens.len());
    // Junk around them changes nothing about them.
    printed.push("junk".to_owned());
    let again = Signatures::parse_column(&printed.join("  "));
    assert_eq!((again.well_formed, again.malformed), (found.well_formed, 1));
    for token in tokens {
        if let Ok(key) = PublicKey::parse(token) {
            assert_eq!(key.to_string(), token);
        }
    }
});
