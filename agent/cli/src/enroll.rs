//! `narwarden enroll`.
use crate::arguments::Enroll;
use crate::outcome::{Exit, Failure};
pub(crate) fn run(_: &Enroll) -> Result<Exit, Failure> {
    Err(Failure::usage("x"))
}
