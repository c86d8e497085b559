//! Generations that are given back or given up.

use super::host::{Host, NOW, because};
use crate::generations::scan;
use crate::quarantine::{Id, LeftBecause, QuarantineError};
use std::fs;
use std::os::unix::fs::symlink;

#[test]
fn released_is_put_back_and_stays() {
    let host = Host::new();
    let _ = host.reject();
    let [held] = host.held().try_into().unwrap();
    let mark = host.quarantine().release(&held.id, NOW).unwrap();
    assert_eq!((mark.link.as_str(), mark.target), ("system-3-link", host.evil.to_string()));
    assert_eq!(host.reads("system").as_deref(), Some("system-2-link"), "nothing is switched");
    assert_eq!(host.held(), []);
    let moved = host.reject();
    assert_eq!(because(&moved), [LeftBecause::Released]);
    let link = scan(&host.places).links.into_iter().find(|it| it.path.ends_with("system-3-link"));
    assert!(host.quarantine().stays(&link.unwrap()).unwrap());
    assert!(!host.is_clean(), "it is not admitted by that");
    // A link that says something else under the same name was not released.
    host.link("system-3-link", "/home/evil");
    let _ = host.reject();
    assert!(host.is_clean());
    assert_eq!(host.quarantine().recover(NOW).unwrap().forgotten, [held.id]);
    assert_eq!(host.held().len(), 1);
}

#[test]
fn released_under_another_number_where_its_own_is_taken() {
    let host = Host::new();
    let _ = host.reject();
    host.link("system-3-link", &host.good.to_string());
    let [held] = host.held().try_into().unwrap();
    let mark = host.quarantine().release(&held.id, NOW).unwrap();
    assert_eq!(mark.link, "system-4-link");
    assert_eq!(host.reads("system-3-link"), Some(host.good.to_string()));
}

#[test]
fn what_is_discarded_is_gone_and_nothing_else() {
    let host = Host::new();
    let _ = host.reject();
    let [held] = host.held().try_into().unwrap();
    let nobody = Id::parse("system-9").unwrap();
    assert!(matches!(host.quarantine().discard(&nobody), Err(QuarantineError::NotFound { .. })));
    host.quarantine().discard(&held.id).unwrap();
    assert!(!host.roots().contains(&host.evil.to_string()));
    assert!(matches!(
        host.quarantine().release(&held.id, NOW),
        Err(QuarantineError::NotFound { .. })
    ));
    for text in ["", ".", "..", "../x", "a/b", ".hidden", "a b", "a\0", "a\u{1b}", &"x".repeat(201)]
    {
        assert_eq!(Id::parse(text), None, "{text:?}");
    }
}

#[test]
fn names_that_no_file_should_have() {
    let host = Host::new();
    let directory = host.places.profiles.join("system-profiles");
    fs::create_dir(&directory).unwrap();
    for name in ["..-2-link", ".x-1-link", "a b\n-3-link"] {
        symlink(host.evil.to_string(), directory.join(name)).unwrap();
    }
    let _ = host.reject();
    assert!(host.is_clean());
    let held = host.held();
    assert_eq!(held.len(), 4, "system-3-link and three: {held:?}");
    for held in held {
        let _ = host.quarantine().release(&held.id, NOW).unwrap();
    }
    assert!(directory.join("a b\n-3-link").symlink_metadata().is_ok());
}
