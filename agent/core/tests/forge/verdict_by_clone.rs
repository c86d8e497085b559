//! One verdict made into two.
use narwarden_core::verdict::Verdict;

fn forge(spent: &Verdict) -> Verdict {
    Verdict::clone(spent)
}

fn main() {}
