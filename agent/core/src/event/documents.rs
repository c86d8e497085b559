//! The two documents that are made from the table: one for people, one for `journalctl -x`.

use super::{EventKind, Field, substitute};
use std::fmt::Write as _;

const MARKDOWN_HEAD: &str = "\
# What narwardend writes to the journal

Made from `agent/core/src/event/` by `NARWARDEN_BLESS=1 cargo test -p narwarden-core --test events`; edit it there.

Every entry has `MESSAGE_ID`, `PRIORITY`, `MESSAGE` and `NARWARDEN_EVENT`; identifiers and names are stable, and
messages are for people and may change. Match on `MESSAGE_ID` or `NARWARDEN_EVENT`:

```
journalctl NARWARDEN_EVENT=denied -o json
journalctl -x -u narwardend -p crit
```

An entry carries those of its fields that are known. A verdict that could not be written to the journal is not an
admission.

`NARWARDEN_RECEIPT` ties the journal to the chain of receipts in `/var/lib/narwarden`. It is the SHA-256 of the
verdict's own line there, said before the line is written, and every line names the one before by the same digest. So
whoever holds a copy of the journal, best on another machine, can tell whether lines were cut off at the end, or the
whole chain was made anew, which the files alone cannot show:

```
journalctl -o cat --output-fields=NARWARDEN_RECEIPT NARWARDEN_EVENT=admitted NARWARDEN_EVENT=denied | tail -n 1
narwarden log --verify-chain   # shows the last receipt: the same digest
```

If the last verdict of the journal has a receipt that the chain does not have, lines are missing, unless a `trouble`
with that very receipt follows it: the line could not be written then, and the verdict did not count.

";

/// The text of `docs/journal.md`. Writing to a string cannot fail, so results are dropped.
#[must_use]
pub fn markdown() -> String {
    let mut text = MARKDOWN_HEAD.to_owned();
    text.push_str("| event | priority | MESSAGE_ID |\n|---|---|---|\n");
    for event in EventKind::ALL {
        let priority = event.priority();
        let (code, id) = (event.code(), event.message_id());
        let _ = writeln!(
            text,
            "| [`{code}`](#{code}) | {} {} | `{id}` |",
            priority.number(),
            priority.word()
        );
    }
    text.push_str("\n## Fields\n\n| field | what it holds |\n|---|---|\n");
    text.push_str("| `NARWARDEN_EVENT` | The name of the event. |\n");
    for field in Field::ALL {
        let _ = writeln!(text, "| `{}` | {} |", field.name(), field.meaning());
    }
    text.push_str("\n## Events\n");
    let quoted = |template: &str| substitute(template, |field| format!("‹{}›", field.name()));
    for event in EventKind::ALL {
        let _ = write!(text, "\n### {}\n\n", event.code());
        let _ = write!(text, "> {}\n\n{}\n\n", quoted(event.message()), event.meaning());
        if !event.next_step().is_empty() {
            let _ = write!(text, "Next: {}.\n\n", quoted(event.next_step()));
        }
        let names: Vec<_> = event.fields().iter().map(|it| format!("`{}`", it.name())).collect();
        let _ = writeln!(text, "Fields: {}.", names.join(", "));
    }
    text
}

/// The text of `packaging/journal.catalog`, in the form of systemd's message catalogues: an identifier after
/// `--`, headers, a blank line, and a text in which journald replaces every `@FIELD@`.
#[must_use]
pub fn catalog() -> String {
    let mut text =
        "# narwarden's events for journalctl -x. Made from agent/core/src/event/.\n".to_owned();
    let filled = |template: &str| substitute(template, |field| format!("@{}@", field.name()));
    for event in EventKind::ALL {
        let _ = write!(text, "\n-- {}\n", event.message_id());
        let _ = writeln!(text, "Subject: {}", subject(*event));
        let _ = writeln!(text, "Defined-By: narwarden");
        let _ = writeln!(text, "Documentation: man:narwarden(1)");
        let _ = writeln!(text, "\n{}", filled(event.meaning()));
        if !event.next_step().is_empty() {
            let _ = writeln!(text, "\nNext: {}", filled(event.next_step()));
        }
    }
    text
}

/// The message without its fields, since journald would fill a header with whatever a store path is called.
fn subject(event: EventKind) -> String {
    format!("narwardend: {}", event.code().replace('-', " "))
}
