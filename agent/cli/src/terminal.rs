//! What is printed, and how: colour with meaning, and no text from outside that could steer a terminal.

use anstyle::{AnsiColor, Style};
use narwarden_core::event::is_steering;
use std::borrow::Cow;
use std::io::{self, Write as _};

/// A good answer.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default().bold();
/// A refusal.
pub(crate) const BAD: Style = AnsiColor::Red.on_default().bold();
/// A remark.
pub(crate) const NOTE: Style = AnsiColor::Yellow.on_default();
/// The word before an error.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// What is said beside the point.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What stands out.
pub(crate) const STRONG: Style = Style::new().bold();

/// Prints to standard output, without colour where none is wanted.
pub(crate) fn print(text: &str) -> io::Result<()> {
    let mut out = anstream::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

/// Prints to standard error.
pub(crate) fn print_error(text: &str) -> io::Result<()> {
    anstream::stderr().lock().write_all(text.as_bytes())
}

/// `text` on one line with control characters escaped: names of files and keys may hold anything, a line that
/// looks like a verdict among it.
pub(crate) fn plain(text: &str) -> Cow<'_, str> {
    let harmless = |c: char| !is_steering(c);
    if text.chars().all(harmless) {
        return Cow::Borrowed(text);
    }
    let escape = |c: char| match harmless(c) {
        true => c.to_string(),
        false => c.escape_unicode().to_string(),
    };
    Cow::Owned(text.chars().map(escape).collect())
}

/// The same, of a text of our own that may have several lines.
pub(crate) fn plain_lines(text: &str) -> String {
    text.split('\n').map(plain).collect::<Vec<_>>().join("\n")
}

/// JSON to read and to parse: within its strings, whatever could steer a terminal is escaped as JSON does it.
pub(crate) fn json(value: &serde_json::Value) -> String {
    let text = format!("{value:#}");
    let mut escaped = String::new();
    for c in text.chars() {
        // A line break is between values: within a string it is escaped already.
        if c == '\n' || !is_steering(c) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            escaped.push_str(&format!("\\u{unit:04x}"));
        }
    }
    escaped + "\n"
}

/// A moment as the warden says it, to the second.
pub(crate) fn moment(text: &str) -> String {
    let rounded = text.parse::<jiff::Timestamp>().ok();
    let rounded = rounded.and_then(|it| jiff::Timestamp::from_second(it.as_second()).ok());
    rounded.map_or_else(|| narwarden_core::event::harmless(text), |it| it.to_string())
}

/// `count` with a comma after every three digits.
pub(crate) fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `count` things.
pub(crate) fn counted(count: u64, thing: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", grouped(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_steers_the_terminal() {
        for (text, expected) in [
            ("x\nADMIT  /nix/store/…", "x\\u{a}ADMIT  /nix/store/…"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\rb\u{9b}31m", "a\\u{d}b\\u{9b}31m"),
            ("safe\u{202e}live", "safe\\u{202e}live"),
            ("a\u{61c}b\u{ad}", "a\\u{61c}b\\u{ad}"),
            ("größe", "größe"),
        ] {
            assert_eq!(plain(text), expected);
        }
    }

    #[test]
    fn json_steers_nothing_and_stays_what_it_was() {
        let value =
            serde_json::json!({ "a\u{9b}": ["\u{1b}[2J\n", "\u{202e}", "\u{e0041}", "größe"] });
        let text = json(&value);
        assert!(text.chars().all(|c| c == '\n' || !is_steering(c)), "{text:?}");
        assert!(text.contains("größe"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn moments_are_to_the_second_and_nothing_else_steers() {
        for (text, expected) in [
            ("2026-11-22T18:28:18.385708156Z", "2026-11-22T18:28:18Z"),
            ("2026-11-22T18:28:18Z", "2026-11-22T18:28:18Z"),
            ("soon\u{1b}[2J", "soon\\u{1b}[2J"),
        ] {
            assert_eq!(moment(text), expected);
        }
    }

    #[test]
    fn digits_are_grouped() {
        for (count, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")]
        {
            assert_eq!(grouped(count), expected);
        }
    }
}
