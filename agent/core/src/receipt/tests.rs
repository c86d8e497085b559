use super::*;
use jiff::Timestamp;

const NOW: Timestamp = Timestamp::constant(1_790_856_000, 0);

/// A chain of this many lines, each with its end, and the head after each.
fn chain(count: usize) -> (Vec<Vec<u8>>, Vec<Head>) {
    let (mut lines, mut heads) = (Vec::new(), vec![Head::default()]);
    for number in 1..=count {
        let (mut line, head) = heads[number - 1].next(NOW, &format!("receipt {number}")).unwrap();
        assert_eq!(head, Head::after(number as u64, &line), "known before it is written");
        line.push(b'\n');
        lines.push(line);
        heads.push(head);
    }
    (lines, heads)
}

fn verify(older: &[Vec<u8>], current: &[Vec<u8>], head: &Head) -> Result<Checked, (Part, Break)> {
    let (older, current) = (older.concat(), current.concat());
    verify_files(Some(older.as_slice()), Some(current.as_slice()), Some(head.clone()))
}

#[test]
fn a_whole_chain_holds_in_one_file_and_in_two() {
    let (lines, heads) = chain(6);
    for cut in 0..=6 {
        let (older, current) = lines.split_at(cut);
        let checked = verify(older, current, &heads[6]).unwrap();
        assert_eq!((checked.lines, &checked.head, &checked.before), (6, &heads[6], &heads[0]));
        assert_eq!(checked.previous, heads[5]);
        assert_eq!(checked.length, lines.concat().len() as u64);
    }
    let nothing: Option<&[u8]> = None;
    assert_eq!(verify_files(nothing, nothing, None).unwrap(), Checked::default());
    assert_eq!(verify_files(nothing, nothing, Some(Head::default())).unwrap(), Checked::default());
    // The older of three files is gone: what is here still holds together.
    assert_eq!(verify(&lines[2..4], &lines[4..], &heads[6]).unwrap().before, heads[2]);
}

#[test]
fn altered_removed_and_reordered_lines_are_found() {
    let (lines, heads) = chain(6);
    for place in 0..6 {
        let mut altered = lines.clone();
        let at = altered[place].iter().rposition(|byte| *byte == b'r').unwrap();
        altered[place][at] = b'R';
        let (part, found) = verify(&[], &altered, &heads[6]).unwrap_err();
        // The line after it names another; of the last one, the head does.
        match place {
            5 => {
                assert!(part == Part::Head && matches!(found.fault, Fault::Head { .. }), "{found}")
            }
            _ => assert_eq!((part, found.line), (Part::Current, place as u64 + 2), "{found}"),
        }
        let mut removed = lines.clone();
        removed.remove(place);
        let result = verify(&[], &removed, &heads[6]);
        match place {
            // What comes before may be gone by rotation; the numbers say how many.
            0 => assert_eq!(result.unwrap().before, heads[1]),
            5 => assert_eq!(result.unwrap_err().0, Part::Head),
            _ => assert_eq!(result.unwrap_err().1.line, place as u64 + 1),
        }
        if place > 0 {
            let mut moved = lines.clone();
            moved.swap(place - 1, place);
            assert!(verify(&[], &moved, &heads[6]).unwrap_err().1.line <= place as u64 + 1);
        }
    }
    verify(&[], &lines, &heads[6]).unwrap();
}

#[test]
fn a_tail_that_is_cut_off_is_found_by_the_head() {
    let (lines, heads) = chain(6);
    for left in 0..6 {
        let (part, found) = verify(&[], &lines[..left], &heads[6]).unwrap_err();
        let before = if left == 0 { Head::default() } else { heads[left].clone() };
        let fault = Fault::Head { expected: Some(heads[6].clone()), found: before };
        assert_eq!((part, found.line, found.fault), (Part::Head, left as u64, fault));
    }
    // Whoever cuts the head along with it is found by the journal alone: that is what it is told for.
    assert_eq!(verify(&[], &lines[..4], &heads[4]).unwrap().head, heads[4]);
    // Power lost between line and head; two lines ahead of it are no such thing.
    verify(&[], &lines, &heads[5]).unwrap();
    assert!(verify(&[], &lines, &heads[4]).is_err());
    assert!(verify(&[], &lines, &Head { digest: "0".repeat(64), ..heads[5].clone() }).is_err());
    let current = lines.concat();
    assert!(verify_files(None, Some(current.as_slice()), None).is_err(), "no head at all");
}

#[test]
fn a_line_torn_anywhere_is_found_where_it_begins() {
    let (lines, heads) = chain(3);
    let whole = lines.concat();
    let begin = whole.len() - lines[2].len();
    for length in begin + 1..whole.len() {
        let (part, found) =
            verify_files(None, Some(&whole[..length]), Some(heads[3].clone())).unwrap_err();
        assert_eq!((part, found.line, found.offset), (Part::Current, 3, begin as u64));
        assert_eq!(found.fault, Fault::Torn);
    }
}

#[test]
fn two_files_that_do_not_follow_upon_each_other_are_found() {
    let (lines, heads) = chain(6);
    for (older, current) in [(&lines[..2], &lines[3..]), (&lines[..3], &lines[2..])] {
        let (part, found) = verify(older, current, &heads[6]).unwrap_err();
        assert_eq!((part, found.line), (Part::Current, 1));
        assert!(matches!(found.fault, Fault::Previous { .. }), "{found}");
    }
    // The two changed places.
    assert!(verify(&lines[3..], &lines[..3], &heads[6]).is_err());
    let mut altered = lines.clone();
    altered[1][60] ^= 1;
    assert_eq!(verify(&altered[..3], &altered[3..], &heads[6]).unwrap_err().0, Part::Older);
}

#[test]
fn what_is_no_receipt_is_said_without_steering_anything() {
    let (lines, _) = chain(2);
    for line in ["", "{}", "null", "{\"sequence\":0}", "[1,2,3]", "\u{1b}[2J", "\u{0}"] {
        let text = [lines[0].clone(), format!("{line}\n").into_bytes()].concat();
        let found = verify_chain(text.as_slice()).unwrap_err();
        assert!(matches!(found.fault, Fault::Malformed(_)), "{found}");
        assert!(!found.to_string().chars().any(char::is_control), "{found}");
    }
    let text = String::from_utf8(lines[1].clone()).unwrap();
    for (from, to) in [
        ("\"time\"", "\"sequence\":2,\"time\""),
        ("\"time\"", "\"more\":2,\"time\""),
        ("\"time\":\"2", "\"time\":\"x2"),
        ("\"prev\":\"", "\"prev\":\"X"),
    ] {
        let second = text.replacen(from, to, 1);
        assert_ne!(second, text);
        let text = [lines[0].clone(), second.into_bytes()].concat();
        let found = verify_chain(text.as_slice()).unwrap_err();
        assert!(matches!(found.fault, Fault::Malformed(_)), "{found}");
    }
    let jump = text.replace("\"sequence\":2", "\"sequence\":3").into_bytes();
    let found = verify_chain([lines[0].clone(), jump].concat().as_slice()).unwrap_err();
    assert_eq!(found.fault, Fault::Sequence { expected: 2, found: 3 });
}

#[test]
fn a_line_without_end_is_not_held_in_memory() {
    let endless = std::io::BufReader::new(std::io::repeat(b'x').take(1 << 34));
    assert_eq!(verify_chain(endless).unwrap_err().fault, Fault::TooLong);
    let error = Head::default().next(NOW, &"x".repeat(MOST_LINE)).unwrap_err();
    assert!(matches!(error, LineError::TooLong { .. }), "{error}");
}

#[test]
fn a_head_is_read_as_it_is_written_and_no_other_way() {
    let (_, heads) = chain(2);
    let text = heads[2].to_string();
    assert_eq!(Head::parse(&text).as_ref(), Some(&heads[2]));
    assert_eq!(Head::in_file(&format!("checksum\n{text}")).as_ref(), Some(&heads[2]));
    for odd in ["", " ", "2", &format!("0{text}"), &format!("{text} "), &text.to_uppercase()] {
        assert_eq!(Head::parse(odd), None, "{odd:?}");
        assert_eq!(Head::in_file(odd), None, "{odd:?}");
    }
}
