//! The events that narwardend writes to the journal: which there are, how urgent each is, what it says, and
//! which fields it carries.
//!
//! The catalogue is one table ([`EventKind`]). `docs/journal.md` and `packaging/journal.catalog` are made from
//! it, and a test fails where they differ, so what an alert matches on and what `journalctl -x` explains cannot
//! drift from what is sent. Identifiers are random, given once, and never used for anything else (see
//! `MESSAGE_ID=` in systemd.journal-fields(7) and sd_journal_print(3) for how they are meant).
//!
//! Nothing here talks to journald: an [`Event`] is the priority, the message and the fields to send.
//!
//! ```
//! use narwarden_core::event::{Event, EventKind, Field};
//!
//! let event = Event::new(EventKind::ObserveEnded).with(Field::Mode, "enforce");
//! assert_eq!(event.message(), "Denials hold again: the mode is enforce");
//! assert_eq!(event.priority().number(), 5);
//! assert_eq!(event.fields()[0].0, "MESSAGE_ID");
//! ```

mod action;
mod catalogue;
mod documents;
mod field;

pub use action::Action;
pub use catalogue::EventKind;
pub use documents::{catalog, markdown};
pub use field::Field;

use std::fmt::Display;

/// A value longer than this is cut. journald itself takes far more, but no reader does.
const LONGEST_VALUE: usize = 4096;
const CUT: &str = "…";

/// How urgent an event is, as in syslog(3). Nothing here is an emergency of the whole system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Somebody should look now: what guards the host is off, or what it rests on is damaged.
    Critical,
    /// Something was refused, or did not work.
    Error,
    /// Something is not as it should be.
    Warning,
    /// Normal, and worth keeping.
    Notice,
    /// Normal.
    Info,
}

impl Priority {
    /// The value of the field `PRIORITY`.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Critical => 2,
            Self::Error => 3,
            Self::Warning => 4,
            Self::Notice => 5,
            Self::Info => 6,
        }
    }

    /// The word that `journalctl -p` takes.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Critical => "crit",
            Self::Error => "err",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
        }
    }
}

/// One event, with what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "an event that is not sent tells nobody"]
pub struct Event {
    kind: EventKind,
    values: Vec<(Field, String)>,
}

impl Event {
    /// An event of this kind that says nothing yet but that it happened.
    pub fn new(kind: EventKind) -> Self {
        Self { kind, values: Vec::new() }
    }

    /// The event with this field, in place of what the field held. Whatever could steer a terminal is escaped,
    /// and a long value is cut.
    pub fn with(mut self, field: Field, value: impl Display) -> Self {
        let value = harmless(&value.to_string());
        self.values.retain(|(other, _)| *other != field);
        self.values.push((field, value));
        self
    }

    /// The event with what was done about it, in the words of the catalogue.
    pub fn done(self, action: Action) -> Self {
        self.with(Field::Action, action.word())
    }

    /// What happened.
    #[must_use]
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// How urgent it is.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.kind.priority()
    }

    /// What a field holds.
    #[must_use]
    pub fn value(&self, field: Field) -> Option<&str> {
        self.values.iter().find(|(other, _)| *other == field).map(|(_, value)| value.as_str())
    }

    /// The sentence for the field `MESSAGE`.
    #[must_use]
    pub fn message(&self) -> String {
        self.fill(self.kind.message())
    }

    /// What an operator should do about it; empty where that is nothing.
    #[must_use]
    pub fn next_step(&self) -> String {
        self.fill(self.kind.next_step())
    }

    /// The fields to send beside `MESSAGE` and `PRIORITY`, `MESSAGE_ID` first.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, &str)> {
        let fixed = [("MESSAGE_ID", self.kind.message_id()), ("NARWARDEN_EVENT", self.kind.code())];
        let own = self.values.iter().map(|(field, value)| (field.name(), value.as_str()));
        fixed.into_iter().chain(own).collect()
    }

    /// The fields that it carries although the catalogue does not promise them, or that hold what it does not
    /// promise. A test of whoever makes events finds them here.
    #[must_use]
    pub fn strays(&self) -> Vec<Field> {
        let promised = self.kind.fields();
        let is_stray = |field: Field, value: &str| {
            !promised.contains(&field) || (field == Field::Action && Action::named(value).is_none())
        };
        let strays = self.values.iter().filter(|(field, value)| is_stray(*field, value));
        strays.map(|(field, _)| *field).collect()
    }

    fn fill(&self, template: &str) -> String {
        substitute(template, |field| self.value(field).unwrap_or("?").to_owned())
    }
}

/// `template` with each `{FIELD}` replaced.
fn substitute(template: &str, value: impl Fn(Field) -> String) -> String {
    let mut text = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        text.push_str(before);
        let (name, tail) = after.split_once('}').unwrap_or((after, ""));
        match Field::ALL.iter().find(|field| field.short() == name) {
            Some(field) => text.push_str(&value(*field)),
            None => text.push_str(name),
        }
        rest = tail;
    }
    text + rest
}

/// `text` on one line, with nothing in it that a terminal obeys or that hides what stands beside it.
#[must_use]
pub fn harmless(text: &str) -> String {
    let mut escaped = String::new();
    for c in text.chars() {
        if escaped.len() > LONGEST_VALUE {
            escaped.push_str(CUT);
            break;
        }
        if is_steering(c) { escaped.extend(c.escape_unicode()) } else { escaped.push(c) }
    }
    escaped
}

/// Controls, line and paragraph separators, and characters that reorder or hide text (Unicode TR36, 3.1).
#[must_use]
pub fn is_steering(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_from_outside_steer_nothing() {
        let event = Event::new(EventKind::Denied)
            .with(Field::Toplevel, "first")
            .with(Field::Toplevel, "/nix/store/x\n<2>forged\u{1b}[2J\u{202e}")
            .with(Field::Detail, "{TOPLEVEL}");
        let message = event.message();
        assert!(!message.chars().any(is_steering), "{message:?}");
        assert!(message.contains("\\u{a}<2>forged\\u{1b}[2J\\u{202e}"), "{message}");
        // A value is no template.
        assert!(message.contains("{TOPLEVEL}"), "{message}");
        assert_eq!(
            event.fields().iter().filter(|(name, _)| *name == "NARWARDEN_TOPLEVEL").count(),
            1
        );
    }

    #[test]
    fn values_are_bounded() {
        for huge in ["x".repeat(1 << 20), "\u{1b}".repeat(1 << 20), "ö".repeat(1 << 20)] {
            let event = Event::new(EventKind::Denied).with(Field::Detail, huge);
            assert!(event.value(Field::Detail).unwrap().len() < LONGEST_VALUE + 32);
        }
    }

    #[test]
    fn what_is_unknown_is_said_to_be() {
        assert_eq!(
            Event::new(EventKind::ObserveEnded).message(),
            "Denials hold again: the mode is ?"
        );
    }

    #[test]
    fn fields_that_nobody_was_promised_are_found() {
        let event = Event::new(EventKind::ObserveEnded).with(Field::Mode, "enforce");
        assert_eq!(event.strays(), []);
        assert_eq!(event.with(Field::StorePath, "x").strays(), [Field::StorePath]);
    }

    #[test]
    fn what_was_done_is_said_in_the_words_of_the_catalogue() {
        for action in Action::ALL {
            let event = Event::new(EventKind::Denied).done(*action);
            assert_eq!(event.value(Field::Action), Some(action.word()));
            assert_eq!(event.strays(), []);
            assert!(Field::Action.meaning().contains(&format!("`{}`", action.word())));
        }
        for odd in ["judged", "denied", "Allowed", ""] {
            let event = Event::new(EventKind::Denied).with(Field::Action, odd);
            assert_eq!(event.strays(), [Field::Action], "{odd}");
        }
        assert_eq!(Field::Action.meaning().matches('`').count(), 2 * Action::ALL.len());
    }
}
