//! A verdict without anything that it rests on.
use narwarden_core::verdict::{Admission, Verdict};

fn by_default() -> Verdict {
    Verdict::default()
}

fn by_literal() -> Verdict {
    Verdict::Admit(Admission {})
}

fn twice(verdict: &Verdict) -> Verdict {
    verdict.clone()
}

fn main() {}
