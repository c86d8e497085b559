//! The attacks that `narwarden demo` shows, each with its control.

use super::support::{Kind, assert_admitted, by_bytes, good, judged};
use narwarden_core::plan::Contents;
use narwarden_forge::{Outcome, attacks};

/// What denies on which path, by title.
const WHY: &[(&str, &[&str])] = &[
    ("file changed on disk, size kept", &["systemd-259 content-drift"]),
    ("file made longer on disk", &["nixos-system-demo-26.05 content-drift"]),
    ("signed file and its database row changed together", &["systemd-259 bad-signature"]),
    ("source tree and its row changed, `ca` untouched", &["source content-address-mismatch"]),
    ("download and its row changed, `ca` untouched", &["demo-1.0.tar.gz content-address-mismatch"]),
    (
        "unit text and its row changed, `ca` untouched",
        &["unit-demo.service content-address-mismatch"],
    ),
    ("unsigned path marked as built here (`ultimate`)", &["systemd-259 unsigned"]),
    (
        "two signatures by one key where two keys must sign",
        &["nixos-system-demo-26.05 below-threshold"],
    ),
    ("100,000 junk signatures added beside the good one", &[]),
    ("a pinned key's signature under another's name", &["bash-5.3 bad-signature"]),
    ("the attacker's signature under a pinned name", &["bash-5.3 bad-signature"]),
    ("the attacker's signature under a name of its own", &["bash-5.3 unknown-key"]),
    ("good signature written in a way that is not canonical", &["bash-5.3 bad-signature"]),
    ("shell made setuid", &["bash-5.3 metadata-drift"]),
    ("shell made setgid", &["bash-5.3 metadata-drift"]),
    ("directory made writable for everybody", &["bash-5.3 metadata-drift"]),
    ("file made writable for everybody", &["bash-5.3 metadata-drift"]),
    ("modification time changed", &["bash-5.3 metadata-drift"]),
    ("store path replaced by a link to a copy of it", &["systemd-259 content-drift"]),
    ("FIFO in place of a file, to hang whoever reads it", &["systemd-259 unsupported-file"]),
    ("socket in place of a file", &["systemd-259 unsupported-file"]),
    ("directories nested to exhaust whoever reads them", &["systemd-259 too-large"]),
    (
        "reference deleted, so that a path escapes judgement",
        &["nixos-system-demo-26.05 bad-signature"],
    ),
    ("reference to a row that does not exist", &["bash-5.3 missing-reference"]),
    ("row of a referenced path deleted", &["etc bad-signature", "etc missing-reference"]),
    ("path in the database that is gone from the disk", &["systemd-259 missing-path"]),
    ("toplevel on disk that the database does not know", &[" missing-path"]),
    ("blob where the database should have a hash", &["systemd-259 malformed-claim"]),
    ("unsigned path addressed by MD5", &["weak weak-content-address"]),
    ("unsigned path addressed by SHA-1", &["weak weak-content-address"]),
    ("executable bit that a flat address does not cover", &["weak weak-content-address"]),
    ("self-reference hash that two builds can share", &["weak weak-content-address"]),
    ("a local user's own toplevel, content-addressed", &["nixos-system-demo-26.05 unsigned"]),
    ("a test system that a community cache signed", &["nixos-system-demo-26.05 community-key"]),
    (
        "reference of a content-addressed text deleted",
        &["unit-demo.service content-address-mismatch"],
    ),
    (
        "signatures by a key that was revoked since",
        &[
            "bash-5.3 revoked-key",
            "etc revoked-key",
            "glibc-2.42 revoked-key",
            "nixos-system-demo-26.05 revoked-key",
            "switch-to-configuration-0.1.0 revoked-key",
            "system-path revoked-key",
            "systemd-259 revoked-key",
        ],
    ),
];

#[test]
fn the_good_generation_is_admitted() {
    let (_workshop, forge, generation) = good();
    let found = by_bytes(&forge, &generation.toplevel);
    assert_admitted(&found);
    assert_eq!(found.notes, []);
}

#[test]
fn every_attack_comes_out_as_it_must_and_its_control_the_other_way() {
    assert_eq!(WHY.len(), attacks().len());
    for attack in attacks() {
        let title = attack.title;
        let (_, why) = WHY.iter().find(|(known, _)| *known == title).expect(title);
        let (_workshop, mut forge, generation) = good();
        let toplevel = attack.apply(&mut forge, &generation).unwrap();
        let found = judged(forge.root(), &toplevel, &attack.setup());
        let expected = match attack.expected {
            Outcome::Admit => Kind::Admit,
            Outcome::Deny(reason) => Kind::Deny(reason),
        };
        assert_eq!(found.verdict, expected, "{title}: {found:#?}");
        assert_eq!(found.why(), *why, "{title}: {found:#?}");

        let disarmed = attack.disarm(&mut forge, &generation).unwrap();
        let found = judged(forge.root(), &toplevel, &disarmed);
        match (attack.expected, disarmed.contents) {
            (Outcome::Admit, _) => {
                assert!(matches!(found.verdict, Kind::Deny(_)), "{title}: {found:#?}");
            }
            (Outcome::Deny(_), Contents::Measured) => {
                assert_eq!(found.verdict, Kind::Admit, "{title}: {found:#?}");
            }
            (Outcome::Deny(_), Contents::Claimed) => {
                assert_eq!(found.verdict, Kind::Limited, "{title}: {found:#?}");
            }
        }
    }
}
