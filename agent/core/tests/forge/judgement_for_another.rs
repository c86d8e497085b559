//! The judgement of a good path, turned into that of another one or cleared of what was found.
use narwarden_core::closure::PathIndex;
use narwarden_core::verify::Judgement;

fn by_update(good: &Judgement, evil: PathIndex) -> Judgement {
    Judgement { index: evil, ..good.clone() }
}

fn by_assignment(mut good: Judgement, evil: PathIndex) -> Judgement {
    good.index = evil;
    good
}

fn by_clearing(mut bad: Judgement) -> Judgement {
    bad.findings.clear();
    bad
}

fn main() {}
