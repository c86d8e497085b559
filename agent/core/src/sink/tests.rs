use super::*;

fn directory() -> TreeGrammar {
    let mut grammar = TreeGrammar::default();
    grammar.begin_directory().unwrap();
    grammar
}

#[test]
fn hostile_names_are_refused() {
    let long = [b'x'; 256];
    for name in [&b""[..], b".", b"..", b"/", b"a/b", b"/etc", b"a\0", b"\0", &long] {
        let mut grammar = directory();
        grammar.begin_entry(name).unwrap_err();
        assert_eq!(grammar.finish(), Err(TreeError::Refused), "{name:?}");
    }
    for name in [&b"..."[..], b".x", b"\n", b"\xff", b"~nix~case~hack~1", &long[1..]] {
        assert_eq!(directory().begin_entry(name), Ok(()));
    }
}

#[test]
fn names_increase_as_unsigned_bytes() {
    let sorted = [&b"A"[..], b"a", b"a-", b"a.b", b"a0", b"ab", b"z", b"\xc3", b"\xff"];
    for (first, one) in sorted.iter().enumerate() {
        for (second, other) in sorted.iter().enumerate() {
            let mut grammar = directory();
            grammar.begin_entry(one).unwrap();
            // What is below has no part in the order.
            grammar.begin_directory().unwrap();
            grammar.begin_entry(b"\xff\xff").unwrap();
            grammar.symlink(b"t").unwrap();
            grammar.end_entry().unwrap();
            grammar.end_directory().unwrap();
            grammar.end_entry().unwrap();
            assert_eq!(grammar.entry_name(), *one);
            assert_eq!(grammar.begin_entry(other).is_ok(), first < second);
        }
    }
}

#[test]
fn targets_and_sizes_are_exact() {
    for (target, good) in [
        (vec![], false),
        (vec![0], false),
        (b"a\0b".to_vec(), false),
        (vec![b'x'; 4096], false),
        (vec![b'x'; 4095], true),
        (b"../\xff\n".to_vec(), true),
    ] {
        assert_eq!(TreeGrammar::default().symlink(&target).is_ok(), good);
    }
    for (announced, given, end) in [
        (2, 1, Err(TreeError::FileTooShort { missing: 1 })),
        (1, 2, Err(TreeError::FileTooLong)),
        (u64::MAX, 1, Err(TreeError::FileTooShort { missing: u64::MAX - 1 })),
        (0, 0, Ok(())),
        (3, 3, Ok(())),
    ] {
        let mut grammar = TreeGrammar::default();
        grammar.begin_file(Executable::No, announced).unwrap();
        let met = grammar.contents(&vec![0; given]).and_then(|()| grammar.end_file());
        assert_eq!(met, end);
    }
}

#[test]
fn events_out_of_place_are_refused() {
    type Event = fn(&mut TreeGrammar) -> Result<(), TreeError>;
    let events: [Event; 8] = [
        |g| g.begin_directory(),
        |g| g.begin_file(Executable::Yes, 0),
        |g| g.symlink(b"t"),
        |g| g.begin_entry(b"n"),
        |g| g.end_directory(),
        |g| g.end_entry(),
        |g| g.contents(b""),
        |g| g.end_file(),
    ];
    // After each beginning, the events of this range fit and no others.
    let beginnings: [(&[usize], core::ops::Range<usize>); 7] = [
        (&[], 0..3),
        (&[0], 3..5),
        (&[0, 3], 0..3),
        (&[0, 3, 2], 5..6),
        (&[1], 6..8),
        (&[2], 0..0),
        (&[0, 4], 0..0),
    ];
    for (beginning, fitting) in beginnings {
        for (index, event) in events.iter().enumerate() {
            let mut grammar = TreeGrammar::default();
            for &earlier in beginning {
                events[earlier](&mut grammar).unwrap();
            }
            assert_eq!(grammar.finish().is_ok(), fitting.is_empty());
            let fits = event(&mut grammar).is_ok();
            assert_eq!(fits, fitting.contains(&index), "{beginning:?} {index}");
            if !fits {
                assert_eq!(event(&mut grammar), Err(TreeError::Refused));
                assert_eq!(grammar.finish(), Err(TreeError::Refused));
            }
        }
    }
}

#[test]
fn counting_passes_bytes_on() {
    let mut counting = Counting::new(Vec::new());
    ByteSink::write(&mut &mut counting, b"ab");
    counting.write(b"c");
    assert_eq!((counting.count(), counting.into_inner()), (3, b"abc".to_vec()));
}
