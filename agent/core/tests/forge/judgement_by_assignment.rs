//! The judgement of a good path, said to be about another.
use narwarden_core::closure::PathIndex;
use narwarden_core::verify::Judgement;

fn forge(mut good: Judgement, evil: PathIndex) -> Judgement {
    good.index = evil;
    good
}

fn main() {}
