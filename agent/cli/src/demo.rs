//! `narwarden demo`.
use crate::arguments::Demo;
use crate::outcome::{Exit, Failure};
pub(crate) fn run(_: &Demo) -> Result<Exit, Failure> {
    Err(Failure::usage("x"))
}
