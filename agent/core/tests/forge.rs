//! What no code outside of the crate can say: each file in `forge` tries to come by an admission, a verdict or
//! a judgement that nobody made, and must not compile.

#[test]
fn verdicts_cannot_be_forged() {
    trybuild::TestCases::new().compile_fail("tests/forge/*.rs");
}
