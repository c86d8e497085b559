//! A trust set that is taken has no key twice and no threshold out of reach; one that is refused says where.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narwarden_core::trust::{TrustFile, TrustSet};

fuzz_target!(|text: &str| {
    let remarks = match TrustSet::parse(text) {
        Ok(TrustFile { trust, warnings }) => {
            let keys: Vec<_> = trust.keys().collect();
            assert!(!keys.is_empty());
            for (place, (index, key)) in keys.iter().enumerate() {
                assert_eq!(trust.key_named(&key.id), Some(*index));
                let earlier = &keys[..place];
                assert!(
                    earlier.iter().all(|(_, it)| it.public.as_bytes() != key.public.as_bytes())
                );
            }
            for (name, role) in trust.roles() {
                assert!(name != "any" && trust.key_named(name).is_none());
                assert!(role.threshold >= 1 && role.threshold as usize <= role.keys.len() as usize);
            }
            warnings
        }
        Err(rejected) => {
            assert!(!rejected.0.is_empty());
            rejected.0
        }
    };
    // Whoever draws a remark cuts the text there.
    assert!(remarks.iter().all(|remark| text.get(remark.span.clone()).is_some()));
});
