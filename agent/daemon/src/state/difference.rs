//! Shows what changed between two texts, line by line.
//!
//! Every line is escaped: the texts are proposals, and their reader decides by what the terminal shows.

use narwarden_core::event::is_steering;
use std::fmt::Write as _;

/// Cells of the table of common subsequences; beyond, what changed is shown as one block.
const MOST_CELLS: usize = 1 << 22;

/// Unchanged lines shown around each change.
const CONTEXT: usize = 2;

/// The lines of `old` and `new`: `-` gone, `+` new, ` ` around them, `…` for what is the same.
pub(super) fn difference(old: &str, new: &str) -> String {
    let (old, new): (Vec<_>, Vec<_>) = (old.lines().collect(), new.lines().collect());
    let lines = changes(&old, &new);
    let mut text = String::new();
    let mut skipped = false;
    for (position, (sign, line)) in lines.iter().enumerate() {
        let first = position.saturating_sub(CONTEXT);
        let around = lines.iter().skip(first).take(position - first + CONTEXT + 1);
        if *sign != ' ' || around.into_iter().any(|(sign, _)| *sign != ' ') {
            let _ = writeln!(text, "{sign}{}", escaped(line));
            skipped = false;
        } else if !skipped {
            text.push_str("…\n");
            skipped = true;
        }
    }
    text
}

/// The line as it is read: quotes are no danger, and a tab is a tab.
fn escaped(line: &str) -> String {
    let escape = |c: char| match c != '\t' && is_steering(c) {
        true => c.escape_unicode().to_string(),
        false => c.to_string(),
    };
    line.chars().map(escape).collect()
}

type Lines<'a> = Vec<(char, &'a str)>;

fn changes<'a>(old: &[&'a str], new: &[&'a str]) -> Lines<'a> {
    let before = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (head, old) = old.split_at(before);
    let new = new.get(before..).unwrap_or_default();
    let after = old.iter().rev().zip(new.iter().rev()).take_while(|(old, new)| old == new).count();
    let (old, tail) = old.split_at(old.len() - after);
    let new = new.get(..new.len() - after).unwrap_or_default();

    let same = |line: &&'a str| (' ', *line);
    let mut lines: Lines<'a> = head.iter().map(same).collect();
    if old.len().saturating_mul(new.len()) <= MOST_CELLS {
        middle(old, new, &mut lines);
    } else {
        lines.extend(old.iter().map(|line| ('-', *line)));
        lines.extend(new.iter().map(|line| ('+', *line)));
    }
    lines.extend(tail.iter().map(same));
    lines
}

/// By the longest common subsequence: the table holds its length for what is left of both texts.
fn middle<'a>(old: &[&'a str], new: &[&'a str], lines: &mut Lines<'a>) {
    let width = new.len() + 1;
    let mut table = vec![0_u32; (old.len() + 1) * width];
    let at = |table: &[u32], row: usize, column: usize| {
        table.get(row * width + column).copied().unwrap_or(0)
    };
    for (row, old) in old.iter().enumerate().rev() {
        for (column, new) in new.iter().enumerate().rev() {
            let length = if old == new {
                at(&table, row + 1, column + 1) + 1
            } else {
                at(&table, row + 1, column).max(at(&table, row, column + 1))
            };
            if let Some(cell) = table.get_mut(row * width + column) {
                *cell = length;
            }
        }
    }
    let (mut row, mut column) = (0, 0);
    loop {
        match (old.get(row), new.get(column)) {
            (Some(gone), Some(come)) if gone == come => {
                lines.push((' ', gone));
                (row, column) = (row + 1, column + 1);
            }
            (Some(gone), come)
                if come.is_none() || at(&table, row + 1, column) >= at(&table, row, column + 1) =>
            {
                lines.push(('-', gone));
                row += 1;
            }
            (_, Some(come)) => {
                lines.push(('+', come));
                column += 1;
            }
            (_, None) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_changed_is_shown() {
        let shown = difference("a\nb\nc\nd\ne\nf\ng\n", "a\nb\nc\nd\nE\u{1b}[2J\nf\ng\nh\n");
        assert_eq!(shown, "…\n c\n d\n-e\n+E\\u{1b}[2J\n f\n g\n+h\n");
        assert_eq!(difference("a\n", "a\n"), "…\n");
        let shown = difference("", "x = \"y\"\t'\\' \u{202e}\u{9b}\r");
        assert_eq!(shown, "+x = \"y\"\t'\\' \\u{202e}\\u{9b}\\u{d}\n");
        assert_eq!(difference("", "x"), "+x\n");
        assert_eq!(difference("x", ""), "-x\n");
    }

    #[test]
    fn long_texts_do_not_take_long() {
        let text = |word: &str| (0..20_000).map(|n| format!("{word} {n}\n")).collect::<String>();
        assert_eq!(difference(&text("a"), &text("b")).lines().count(), 40_000);
    }

    proptest! {
        #[test]
        fn nothing_is_left_out(
            old in prop::collection::vec("[ab]{0,2}", 0..12),
            new in prop::collection::vec("[ab]{0,2}", 0..12),
        ) {
            let old: Vec<_> = old.iter().map(String::as_str).collect();
            let new: Vec<_> = new.iter().map(String::as_str).collect();
            let lines = changes(&old, &new);
            let but = |sign| -> Vec<_> {
                lines.iter().filter(|(its, _)| *its != sign).map(|(_, line)| *line).collect()
            };
            prop_assert_eq!(but('+'), old);
            prop_assert_eq!(but('-'), new);
        }
    }
}
