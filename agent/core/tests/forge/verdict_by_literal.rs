//! A verdict with an admission of nothing in it.
use narwarden_core::verdict::{Admission, Verdict};

fn forge() -> Verdict {
    Verdict::Admit(Admission {})
}

fn main() {}
