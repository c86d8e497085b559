//! One admission made into two.
use narwarden_core::verdict::Admission;

fn forge(spent: &Admission) -> Admission {
    Admission::clone(spent)
}

fn main() {}
