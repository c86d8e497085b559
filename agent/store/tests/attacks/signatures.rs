//! D04 to D09, D22: whose signatures count, and how often.

use super::support::{Kind, assert_admitted, assert_denied, by, by_bytes, by_policy, good};
use narwarden_core::trust::TrustSet;
use narwarden_forge::{Column, Rules, Signer, attacker, ci, community, release};

/// Points of order 1, 2, 4 and 8: with these as keys, one signature
/// fits every message, or every few.
const SMALL_ORDER: [&str; 5] = [
    "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "7P///////////////////////////////////////38=",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
    "JuiVj8KyJ7BFw/SJ8u+Y8NXfrAXTxjM5sTgCiG1T/AU=",
    "xxdqcD1N2E+6PAt2DRBnDyogU/osOczGTsf9d5KsA3o=",
];

/// What each problem of a trust set is reported as.
fn refused(trust: &str) -> String {
    let rejected = TrustSet::parse(trust).expect_err(trust);
    rejected.0.iter().map(|problem| format!("{problem:?}")).collect()
}

#[test]
fn d05_key_material_is_pinned_once() {
    let (once, twice) = (ci().public_key(), ci().named("another.example-1").public_key());
    let trust = format!(
        "[keys]\na = {{ public = \"{once}\" }}\nb = {{ public = \"{twice}\" }}\n\
         [roles]\nboth = {{ keys = [\"a\", \"b\"], threshold = 2 }}\n"
    );
    assert!(refused(&trust).contains("one key would count as two"));
    // Not even where one of the two is revoked: it would not be for the other.
    let trust = trust.replacen("}", ", revoked = 2026-01-01 }", 1);
    assert!(refused(&trust).contains("one key would count as two"));
    // Control: other key material under the other name.
    TrustSet::parse(&trust.replace(&twice, &release().public_key())).unwrap();
}

#[test]
fn d05_a_role_names_a_key_once() {
    let trust = format!(
        "[keys]\na = {{ public = \"{}\" }}\n[roles]\nboth = {{ keys = [\"a\", \"a\"], threshold = 2 }}\n",
        ci().public_key()
    );
    assert!(refused(&trust).contains("would not count twice"));
}

#[test]
fn d06_one_key_counts_once_however_it_signs() {
    let two_of_three = "[require]\ndefault = \"ci\"\n\
                        toplevel = { threshold = 2, of = [\"ci\", \"release\", \"community\"] }\n";
    let nested = "[require]\ndefault = \"ci\"\ntoplevel = { all = [\"ci\", \"any\"] }\n";
    let (_workshop, mut forge, generation) = good();
    let top = &generation.toplevel;
    let fingerprint = forge.fingerprint(top).unwrap();
    let many: Vec<_> = (0..50).map(|choice| ci().sign_again(&fingerprint, choice)).collect();
    forge.set(top, Column::Signatures, many.join(" ")).unwrap();
    for policy in [two_of_three, nested, &Rules::good().policy] {
        assert_denied(
            &by_policy(&forge, top, policy),
            &["nixos-system-demo-26.05 below-threshold"],
        );
    }
    // The same text three times, and under a name that only the release key has.
    let other = ci().named(release().name()).sign(&fingerprint);
    let same = [ci().sign(&fingerprint), ci().sign(&fingerprint), other].join(" ");
    forge.set(top, Column::Signatures, same).unwrap();
    for policy in [two_of_three, nested, &Rules::good().policy] {
        assert_denied(
            &by_policy(&forge, top, policy),
            &["nixos-system-demo-26.05 below-threshold"],
        );
    }
    // Control: any second key.
    forge.sign(top, &[&community()]).unwrap();
    for policy in [two_of_three, nested] {
        assert_admitted(&by_policy(&forge, top, policy));
    }
}

#[test]
fn d07_junk_is_no_veto_wherever_it_stands() {
    let (_workshop, mut forge, generation) = good();
    let good = ci().sign(&forge.fingerprint(&generation.bash).unwrap());
    let name = ci().name().to_owned();
    let long = format!("{name}:{}", "A".repeat(1 << 20));
    let junk = [
        name.clone(),
        format!("{name}:"),
        format!("{name}:!!!!"),
        format!("{name}:AAAA"),
        format!(":{}", good.split_once(':').unwrap().1),
        format!("{name}:{}", good.split_once(':').unwrap().1.trim_end_matches('=')),
        format!("{good}="),
        format!("{good}\n"),
        good.replace(':', "::"),
        long,
        "\u{1b}[2J\0\r\n\t".to_owned(),
        "x".repeat(100_000),
    ];
    for junk in &junk {
        for column in [
            format!("{junk} {good}"),
            format!("{good} {junk}"),
            format!("  {junk}   {good}  {junk} "),
        ] {
            forge.set(&generation.bash, Column::Signatures, column).unwrap();
            let found = by_bytes(&forge, &generation.toplevel);
            assert_eq!(found.verdict, Kind::Admit, "{:?}: {found:#?}", &junk[..junk.len().min(80)]);
        }
        // Control: junk alone vouches for nothing.
        forge.set(&generation.bash, Column::Signatures, junk).unwrap();
        let found = by_bytes(&forge, &generation.toplevel);
        assert!(matches!(found.verdict, Kind::Deny(_)), "{:?}", &junk[..junk.len().min(80)]);
    }
}

#[test]
fn d07_bytes_that_are_no_text_are_no_veto() {
    let (_workshop, mut forge, generation) = good();
    let good = ci().sign(&forge.fingerprint(&generation.bash).unwrap());
    let column = [b"\xff\xfe\0 ".as_slice(), good.as_bytes(), b" \xc3\x28"].concat();
    forge.set(&generation.bash, Column::Signatures, column).unwrap();
    let as_text = "UPDATE ValidPaths SET sigs = CAST(sigs AS TEXT) WHERE path = ?1";
    forge.connection().execute(as_text, [generation.bash.to_string()]).unwrap();
    assert_admitted(&by_bytes(&forge, &generation.toplevel));
}

#[test]
fn d07_more_than_can_be_read_is_a_finding() {
    let (_workshop, mut forge, generation) = good();
    let good = ci().sign(&forge.fingerprint(&generation.bash).unwrap());
    for megabytes in [17, 48] {
        let column = format!("{good} {}", "x".repeat(megabytes << 20));
        forge.set(&generation.bash, Column::Signatures, column).unwrap();
        let found = by_bytes(&forge, &generation.toplevel);
        assert_denied(&found, &["bash-5.3 malformed-claim", "bash-5.3 unsigned"]);
    }
}

#[test]
fn d08_of_two_keys_with_one_name_each_is_tried() {
    let twin = Signer::new(ci().name(), 77);
    let rules = |first: &Signer, second: &Signer| {
        let Rules { trust, policy } = Rules::good();
        let trust = trust.replace(&ci().public_key(), &first.public_key());
        let second = format!("[keys]\ntwin = {{ public = \"{}\" }}", second.public_key());
        let policy = policy.replace("\"ci\"", "{ any = [\"ci\", \"twin\"] }");
        let policy = policy.replace("\"both\"", "\"release\"");
        Rules { trust: trust.replace("[keys]", &second), policy }
    };
    let (_workshop, mut forge, generation) = good();
    forge.sign_afresh(&generation.bash, &[&twin]).unwrap();
    // Everything else is signed by the first.
    assert_admitted(&by(&forge, &generation.toplevel, rules(&ci(), &twin)));
    assert_admitted(&by(&forge, &generation.toplevel, rules(&twin, &ci())));
    // Control: the twin is not pinned.
    assert_denied(&by_bytes(&forge, &generation.toplevel), &["bash-5.3 bad-signature"]);
}

#[test]
fn d08_a_twin_does_not_lend_its_rights() {
    // Same name, other key: only the first may vouch.
    let twin = Signer::new(ci().name(), 77);
    let Rules { trust, policy } = Rules::good();
    let second = format!("[keys]\ntwin = {{ public = \"{}\" }}", twin.public_key());
    let rules = Rules { trust: trust.replace("[keys]", &second), policy };
    let (_workshop, mut forge, generation) = good();
    forge.sign_afresh(&generation.bash, &[&twin]).unwrap();
    let found = by(&forge, &generation.toplevel, rules.clone());
    assert_denied(&found, &["bash-5.3 below-threshold"]);
    forge.sign(&generation.bash, &[&ci()]).unwrap();
    assert_admitted(&by(&forge, &generation.toplevel, rules));
}

#[test]
fn d09_weak_and_unusual_keys_are_refused_at_load() {
    for key in SMALL_ORDER {
        let trust = format!("[keys]\nweak = {{ public = \"weak.example-1:{key}\" }}\n");
        let problems = refused(&trust);
        assert!(problems.contains("ublic key"), "{key}: {problems}");
    }
    // y = p + 1: the neutral element in its other spelling; y = p: order 4 in its other spelling.
    for key in [
        "7v///////////////////////////////////////38=",
        "7f///////////////////////////////////////38=",
    ] {
        refused(&format!("[keys]\nweak = {{ public = \"weak.example-1:{key}\" }}\n"));
    }
    // Control.
    let trust = format!("[keys]\nci = {{ public = \"{}\" }}\n", ci().public_key());
    TrustSet::parse(&trust).unwrap();
}

#[test]
fn d09_small_order_signatures_are_no_signatures() {
    // R of small order and S = 0: good under a lenient verifier for a key of small order, never for ours.
    let (_workshop, mut forge, generation) = good();
    for point in SMALL_ORDER {
        let zeros = "A".repeat(43);
        let bytes = format!("{}{}", point.trim_end_matches('='), zeros);
        let signature = format!("{}:{}==", ci().name(), &bytes[..86]);
        forge.set(&generation.bash, Column::Signatures, signature).unwrap();
        let found = by_bytes(&forge, &generation.toplevel);
        assert!(matches!(found.verdict, Kind::Deny(_)), "{found:#?}");
    }
}

#[test]
fn d22_no_policy_but_the_one_that_says_so_takes_a_community_toplevel() {
    let (_workshop, mut forge, generation) = good();
    let top = &generation.toplevel;
    forge.sign_afresh(top, &[&community()]).unwrap();
    for (policy, why) in [
        ("[require]\ndefault = \"any\"\n", "community-key"),
        (
            "[require]\ndefault = \"any\"\n[[require.rule]]\nname = \"nixos-system-*\"\nrequire = \"any\"\n",
            "community-key",
        ),
        ("[require]\ndefault = { any = [\"community\", \"ci\"] }\n", "community-key"),
        ("[require]\ndefault = \"any\"\ntoplevel = \"release\"\n", "below-threshold"),
        ("[require]\ndefault = \"ci\"\ntoplevel = \"both\"\n", "below-threshold"),
    ] {
        let found = by_policy(&forge, top, policy);
        assert_denied(&found, &[&format!("nixos-system-demo-26.05 {why}")]);
    }
    assert_admitted(&by_policy(&forge, top, "[require]\ndefault = \"any\"\ntoplevel = \"any\"\n"));
    // A community key does not become another's by standing beside an unknown one.
    forge.sign(top, &[&attacker()]).unwrap();
    let found = by_policy(&forge, top, "[require]\ndefault = \"any\"\n");
    assert_denied(&found, &["nixos-system-demo-26.05 community-key"]);
}
