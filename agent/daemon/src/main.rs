//! narwardend
fn main() {}
