//! An admission from its parts.
use narwarden_core::store_path::StorePath;
use narwarden_core::trust::RulesDigest;
use narwarden_core::verdict::Admission;

fn forge(toplevel: StorePath, rules: RulesDigest) -> Admission {
    Admission { toplevel, trust: rules, policy: rules, decided: Default::default() }
}

fn main() {}
