//! The admission of one generation with the path of another put into it.
use narwarden_core::store_path::StorePath;
use narwarden_core::verdict::Admission;

fn by_update(good: Admission, evil: StorePath) -> Admission {
    Admission { toplevel: evil, ..good }
}

fn by_assignment(mut good: Admission, evil: StorePath) -> Admission {
    good.toplevel = evil;
    good
}

fn main() {}
