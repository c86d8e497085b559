//! Patterns on store path names: `*` stands for any run of characters, everything else for itself.
//!
//! `?` is an ordinary character of store path names (formats of Nix, `path.cc`), so it is no wildcard here.

use std::fmt;
use thiserror::Error;

/// A pattern on the name of a store path, the part after the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamePattern(String);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PatternError {
    /// There is nothing in it.
    #[error("the pattern is empty and would match no name")]
    Empty,
    /// It is longer than any name.
    #[error("the pattern has {0} characters, and a store path name has at most 211")]
    TooLong(usize),
    /// It holds a character that no name has.
    #[error("`{0}` cannot stand in a store path name, so the pattern would match nothing")]
    Impossible(String),
}

impl NamePattern {
    /// Reads a pattern.
    ///
    /// # Errors
    /// A pattern that could match no store path name.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.is_empty() {
            return Err(PatternError::Empty);
        }
        if text.len() > 256 {
            return Err(PatternError::TooLong(text.len()));
        }
        let possible = |c: char| c.is_ascii_alphanumeric() || "+-._?=*".contains(c);
        if let Some(c) = text.chars().find(|c| !possible(*c)) {
            return Err(PatternError::Impossible(c.escape_debug().to_string()));
        }
        Ok(Self(text.to_owned()))
    }

    /// Whether the whole of `name` fits. Takes at most `pattern × name` steps, both bounded.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let mut pieces = self.0.split('*');
        let Some(mut rest) = pieces.next().and_then(|first| name.strip_prefix(first)) else {
            return false;
        };
        let Some(last) = pieces.next_back() else {
            return rest.is_empty();
        };
        // The leftmost place for each piece in the middle leaves the most for those after it.
        for piece in pieces {
            let Some((_, after)) = rest.split_once(piece) else { return false };
            rest = after;
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for NamePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_star_is_the_only_wildcard() {
        for (pattern, name, expected) in [
            ("nixos-system-*", "nixos-system-host-24.05", true),
            ("nixos-system-*", "nixos-system-", true),
            ("nixos-system-*", "my-nixos-system-host", false),
            ("*", "", true),
            ("**", "x", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("openssl-1.0.*", "openssl-1x0.2", false),
            ("a?b", "a?b", true),
            ("a?b", "axb", false),
            ("exact", "exact", true),
            ("exact", "exactly", false),
        ] {
            assert_eq!(
                NamePattern::parse(pattern).unwrap().matches(name),
                expected,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn patterns_that_match_nothing_are_refused() {
        for pattern in ["", "a b", "[ab]", "{a,b}", "a/b", "\u{1b}[2J", "\u{e9}"] {
            assert!(NamePattern::parse(pattern).is_err(), "{pattern:?}");
        }
        assert!(NamePattern::parse(&"x".repeat(257)).is_err());
    }
}
