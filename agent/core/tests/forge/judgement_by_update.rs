//! The judgement of a good path, with all but its index taken over.
use narwarden_core::closure::PathIndex;
use narwarden_core::verify::Judgement;

fn forge(good: Judgement, evil: PathIndex) -> Judgement {
    Judgement { index: evil, ..good }
}

fn main() {}
