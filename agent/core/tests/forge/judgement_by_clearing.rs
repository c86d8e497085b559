//! A judgement, with what was found forgotten.
use narwarden_core::verify::Judgement;

fn forge(mut bad: Judgement) -> Judgement {
    bad.findings.clear();
    bad
}

fn main() {}
