//! The admission of one generation, with the path of another put into it.
use narwarden_core::store_path::StorePath;
use narwarden_core::verdict::Admission;

fn forge(mut good: Admission, evil: StorePath) -> Admission {
    good.toplevel = evil;
    good
}

fn main() {}
