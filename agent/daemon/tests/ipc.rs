//! What the socket says to those who keep to the protocol: every method, every error, and who may do what.
//!
//! An independent implementation (zlink) reads the definitions and talks to the server; every reply is held
//! against the definition.
#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the support")]

#[path = "support/client.rs"]
mod client;
#[path = "support/fake.rs"]
mod fake;
#[path = "support/others.rs"]
mod others;

use client::{Client, is_served};
use fake::{BAD, Fake, proposed};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use tempfile::TempDir;
use zlink::idl::{self, Interface, Type};

fn start() -> (TempDir, PathBuf, Arc<Fake>) {
    let directory = tempfile::tempdir().unwrap();
    let fake = Arc::new(Fake::default());
    let path = fake.serve(&directory.path().join("io.narwarden"));
    (directory, path, fake)
}

/// Whether the tests run as uid 0, which most methods are for.
fn is_root() -> bool {
    let root = std::fs::metadata("/proc/self").unwrap().uid() == 0;
    if !root {
        eprintln!("SKIPPED: only uid 0 may call what this test is about");
    }
    root
}

#[test]
fn an_independent_client_introspects_it() {
    use zlink::varlink_service::Proxy as _;
    let (_directory, path, _) = start();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = zlink::tokio::unix::connect(&path).await.unwrap();
        let info = connection.get_info().await.unwrap().unwrap();
        assert_eq!(info.product, "narwardend");
        assert_eq!(info.interfaces.len(), 2);
        for name in ["io.narwarden", "org.varlink.service"] {
            let description =
                connection.get_interface_description(name.try_into().unwrap()).await.unwrap();
            let description = description.unwrap();
            let interface = description.parse().unwrap();
            assert_eq!(interface.name().to_string(), name);
        }
    });
}

/// systemd's own client, where there is one.
#[test]
fn varlinkctl_introspects_it() {
    let (_directory, path, _) = start();
    for arguments in [["info", ""], ["introspect", "io.narwarden"]] {
        let arguments = arguments.iter().filter(|it| !it.is_empty());
        let mut command = Command::new("varlinkctl");
        command.args(["--no-pager"]).args(arguments.clone().take(1)).arg(&path);
        match command.args(arguments.skip(1)).output() {
            Ok(output) => assert!(output.status.success(), "{output:?}"),
            Err(error) => return eprintln!("SKIPPED: varlinkctl: {error}"),
        }
    }
}

/// Fails where `value` is not of the type.
fn conform(interface: &Interface<'_>, kind: &Type<'_>, value: &Value, place: &str) {
    let fits = match kind {
        Type::Bool => value.is_boolean(),
        Type::Int => value.is_i64(),
        Type::Float => value.is_number(),
        Type::String => value.is_string(),
        Type::ForeignObject => value.is_object(),
        Type::Any => true,
        Type::Optional(inner) => {
            if !value.is_null() {
                conform(interface, inner, value, place);
            }
            true
        }
        Type::Array(inner) => {
            let items = value.as_array().unwrap_or_else(|| panic!("{place} is {value}"));
            items.iter().for_each(|it| conform(interface, inner, it, &format!("{place}[]")));
            true
        }
        Type::Map(_) => false,
        Type::Custom(name) => {
            let custom = interface.custom_types().find(|it| it.name() == name);
            let custom = custom.unwrap_or_else(|| panic!("{name} is not defined"));
            fields(interface, custom.as_object().unwrap().fields(), value, place);
            true
        }
        Type::Enum(words) => {
            value.as_str().is_some_and(|it| words.iter().any(|word| *word.name() == it))
        }
        Type::Object(inner) => {
            fields(interface, inner.iter(), value, place);
            true
        }
    };
    assert!(fits, "{place} is {value} and should be {kind}");
}

fn fields<'f, 'i: 'f>(
    interface: &Interface<'_>,
    fields: impl Iterator<Item = &'f idl::Field<'i>>,
    value: &Value,
    place: &str,
) {
    let mut left: BTreeMap<_, _> =
        value.as_object().unwrap_or_else(|| panic!("{place} is {value}")).iter().collect();
    for field in fields {
        let name = field.name().to_string();
        let value = left.remove(&name).unwrap_or(&Value::Null);
        conform(interface, field.ty(), value, &format!("{place}.{name}"));
    }
    assert!(left.is_empty(), "{place} has {left:?}, of which the definition knows nothing");
}

#[test]
fn every_reply_is_what_the_definition_says() {
    if !is_root() {
        return;
    }
    let (_directory, path, fake) = start();
    fake.proposal.lock().unwrap().trust = Some(proposed("/etc/narwarden/trust.toml", "cc", None));
    let interface = Interface::try_from(narwarden_core::interface::DESCRIPTION).unwrap();
    let name = r#"{"name":"system-42-20261122"}"#;
    let calls = [
        ("Status", "{}"),
        ("Verdicts", "{}"),
        ("CheckReceipts", "{}"),
        ("Verify", r#"{"target":"42"}"#),
        ("Observe", r#"{"seconds":60,"reason":"x"}"#),
        ("EndObserve", "{}"),
        ("Scrub", "{}"),
        ("QuarantineList", "{}"),
        ("QuarantineShow", name),
        ("QuarantineRelease", name),
        ("QuarantineDrop", name),
        ("Proposal", "{}"),
        ("Accept", r#"{"what":"trust","digest":"x"}"#),
        ("Pin", r#"{"trust_digest":"x","policy_digest":"y"}"#),
    ];
    let mut client = Client::connect(&path);
    for method in interface.methods() {
        let name = method.name().to_string();
        let Some((_, parameters)) = calls.iter().find(|(it, _)| *it == name) else {
            assert_eq!(name, "Reload", "{name} is not tried");
            continue;
        };
        let given: Value = serde_json::from_str(parameters).unwrap();
        fields(&interface, method.inputs(), &given, &name);
        let reply = client.method(&name, parameters).unwrap();
        assert!(reply.get("error").is_none(), "{name}: {reply}");
        fields(&interface, method.outputs(), &reply["parameters"], &name);
    }
    // The check sees what it looks for.
    let status = interface.methods().find(|it| *it.name() == "Status").unwrap();
    for wrong in [json!({}), json!({ "version": 1 }), json!({ "version": "1", "more": 1 })] {
        let check = || fields(&interface, status.outputs(), &wrong, "Status");
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(check)).is_err());
    }
}

#[test]
fn errors_are_those_of_varlink_and_of_the_definition() {
    let (_directory, path, _) = start();
    let mut client = Client::connect(&path);
    for (call, error, parameters) in [
        (
            r#"{"method":"io.narwarden.Nothing"}"#,
            "org.varlink.service.MethodNotFound",
            json!({"method": "io.narwarden.Nothing"}),
        ),
        (
            r#"{"method":"org.varlink.service.Nothing"}"#,
            "org.varlink.service.MethodNotFound",
            json!({"method": "org.varlink.service.Nothing"}),
        ),
        (
            r#"{"method":"io.other.Status"}"#,
            "org.varlink.service.InterfaceNotFound",
            json!({"interface": "io.other"}),
        ),
        (
            r#"{"method":"Status"}"#,
            "org.varlink.service.InterfaceNotFound",
            json!({"interface": "Status"}),
        ),
        (r#"{"method":""}"#, "org.varlink.service.InterfaceNotFound", json!({"interface": ""})),
        (
            r#"{"method":"org.varlink.service.GetInterfaceDescription","parameters":{"interface":"x.y"}}"#,
            "org.varlink.service.InterfaceNotFound",
            json!({"interface": "x.y"}),
        ),
        (
            r#"{"method":"org.varlink.service.GetInterfaceDescription"}"#,
            "org.varlink.service.InvalidParameter",
            json!({"parameter": "interface"}),
        ),
        (
            r#"{"method":"io.narwarden.Status","parameters":{"extra":1}}"#,
            "org.varlink.service.InvalidParameter",
            json!({"parameter": "extra"}),
        ),
        (
            r#"{"method":"io.narwarden.Status","parameters":[1]}"#,
            "org.varlink.service.InvalidParameter",
            json!({"parameter": "parameters"}),
        ),
        (
            r#"{"method":"io.narwarden.Status","parameters":[]}"#,
            "org.varlink.service.InvalidParameter",
            json!({"parameter": "parameters"}),
        ),
        (
            r#"{"method":"io.narwarden.QuarantineShow","parameters":["system-42-20261122"]}"#,
            "org.varlink.service.InvalidParameter",
            json!({"parameter": "parameters"}),
        ),
        (
            r#"{"method":"io.narwarden.Status","parameters":"x"}"#,
            "org.varlink.service.InvalidParameter",
            json!({"parameter": "parameters"}),
        ),
        (
            r#"{"method":"io.narwarden.Verdicts","parameters":{"limit":-1}}"#,
            "org.varlink.service.InvalidParameter",
            json!({"parameter": "parameters"}),
        ),
        (
            r#"{"method":"io.narwarden.Verdicts","parameters":{"limit":1e99}}"#,
            "org.varlink.service.InvalidParameter",
            json!({"parameter": "parameters"}),
        ),
        (
            r#"{"method":"io.narwarden.QuarantineShow"}"#,
            "org.varlink.service.InvalidParameter",
            json!({"parameter": "name"}),
        ),
        (
            r#"{"method":"io.narwarden.QuarantineShow","parameters":{"name":7}}"#,
            "org.varlink.service.InvalidParameter",
            json!({"parameter": "parameters"}),
        ),
        (
            r#"{"method":"io.narwarden.QuarantineShow","parameters":{"name":"../../etc"}}"#,
            "io.narwarden.NotFound",
            json!({"name": "../../etc"}),
        ),
        (
            r#"{"method":"io.narwarden.Status","upgrade":true}"#,
            "org.varlink.service.InvalidParameter",
            json!({"parameter": "upgrade"}),
        ),
    ] {
        let reply = client.call(call).unwrap_or_else(|| panic!("no answer to {call}"));
        assert_eq!(reply, json!({ "error": error, "parameters": parameters }), "{call}");
    }
    // A wrong name comes back no longer than is good for anybody.
    let reply = client.method(&"x".repeat(60_000), "{}").unwrap();
    assert!(reply["parameters"]["method"].as_str().unwrap().len() <= 200);
    assert!(is_served(&path));
}

#[test]
fn parameters_are_bounded() {
    if !is_root() {
        return;
    }
    let (_directory, path, fake) = start();
    let mut client = Client::connect(&path);
    let reason = "x".repeat(501);
    for (parameters, wrong) in [
        (r#"{"seconds":0,"reason":"x"}"#.to_owned(), "seconds"),
        (r#"{"seconds":60,"reason":"  "}"#.to_owned(), "reason"),
        (format!(r#"{{"seconds":60,"reason":"{reason}"}}"#), "reason"),
        (r#"{"seconds":60}"#.to_owned(), "reason"),
        (r#"{"seconds":"60","reason":"x"}"#.to_owned(), "parameters"),
    ] {
        let reply = client.method("Observe", &parameters).unwrap();
        assert_eq!(reply["parameters"]["parameter"], wrong, "{parameters}");
    }
    let reply = client.method("Accept", r#"{"what":"all","digest":""}"#).unwrap();
    assert_eq!(reply["error"], "org.varlink.service.InvalidParameter");
    assert_eq!(fake.asked(), Vec::<String>::new(), "nothing of it came to the warden");
    let reply = client.method("Verdicts", r#"{"limit":18446744073709551615}"#).unwrap();
    assert_eq!(reply["parameters"]["verdicts"].as_array().unwrap().len(), 2);
    let reply = client.method("Verdicts", r#"{"limit":1}"#).unwrap();
    assert_eq!(reply["parameters"]["verdicts"].as_array().unwrap().len(), 1);
}

#[test]
fn calls_in_one_breath_are_answered_in_order_and_one_way_calls_not_at_all() {
    let (_directory, path, _) = start();
    let mut client = Client::connect(&path);
    let all = concat!(
        "{\"method\":\"io.narwarden.A\"}\0",
        "{\"method\":\"io.narwarden.B\",\"oneway\":true}\0",
        "{\"method\":\"io.narwarden.Status\",\"more\":true}\0",
        "{\"method\":\"io.narwarden.C\",\"unheard-of\":{}}\0",
    );
    client.send(all.as_bytes()).unwrap();
    assert_eq!(client.reply().unwrap()["parameters"]["method"], "io.narwarden.A");
    assert_eq!(client.reply().unwrap()["parameters"]["state"], "ready");
    assert_eq!(client.reply().unwrap()["parameters"]["method"], "io.narwarden.C");
}

#[test]
fn a_report_arrives_when_it_is_there_and_what_fails_is_an_error() {
    if !is_root() {
        return;
    }
    let (_directory, path, fake) = start();
    let mut client = Client::connect(&path);
    let reply = client.method("Verify", r#"{"target":"42","force":true}"#).unwrap();
    assert_eq!(reply["parameters"]["report"]["verdict"], "deny");
    assert_eq!(fake.asked(), ["verify 42 Always"]);
    for target in ["lost", "panic", "huge"] {
        let reply = client.method("Verify", &json!({ "target": target }).to_string()).unwrap();
        assert_eq!(reply["error"], "io.narwarden.Refused", "{target}");
    }
    let reply = client.method("Reload", "{}").unwrap();
    assert_eq!(reply["error"], "io.narwarden.Refused");
    assert!(reply["parameters"]["reason"].as_str().unwrap().starts_with("policy.toml:3"));
    // A client that said all it had to say still hears the answer.
    let mut client = Client::connect(&path);
    client
        .send(b"{\"method\":\"io.narwarden.Verify\",\"parameters\":{\"target\":\"1\"}}\0")
        .unwrap();
    client.stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert_eq!(client.reply().unwrap()["parameters"]["report"]["verdict"], "deny");
    assert!(is_served(&path));
}

#[test]
fn the_socket_is_for_everybody_and_takes_the_place_of_an_old_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("io.narwarden");
    let listeners: Vec<_> = (0..3).map(|_| narwardend::ipc::bind(&path).unwrap()).collect();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o666);
    assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1, "nothing is left behind");
    // It is the last of them that a client reaches.
    let _client = Client::connect(&path);
    for (listener, reached) in listeners.iter().zip([false, false, true]) {
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().is_ok(), reached);
    }
    for wrong in [Path::new("/"), Path::new("/nonexistent/io.narwarden"), &path.join("below")] {
        assert!(narwardend::ipc::bind(wrong).is_err());
    }
}

/// Everything that changes something, tried by somebody else: by that process, not by what it says it is.
#[test]
fn only_root_changes_anything() {
    let (_directory, path, fake) = start();
    let name = r#"{"name":"system-42-20261122"}"#;
    let changing = [
        ("CheckReceipts", "{}"),
        ("Verify", r#"{"target":"42"}"#),
        ("Reload", "{}"),
        ("Observe", r#"{"seconds":60,"reason":"x"}"#),
        ("EndObserve", "{}"),
        ("QuarantineRelease", name),
        ("QuarantineDrop", name),
        ("Proposal", "{}"),
        ("Accept", r#"{"what":"trust","digest":"x"}"#),
        ("Pin", r#"{"trust_digest":"x","policy_digest":"y"}"#),
        // Who may not call is not told what the parameters should be.
        ("Pin", "[]"),
    ];
    let reading =
        [("Status", "{}"), ("Verdicts", "{}"), ("QuarantineList", "{}"), ("QuarantineShow", name)];
    let mut calls = Vec::new();
    for (method, parameters) in reading.into_iter().chain(changing) {
        calls.push(format!(r#"{{"method":"io.narwarden.{method}","parameters":{parameters}}}"#));
        calls.push(format!(
            r#"{{"method":"io.narwarden.{method}","parameters":{parameters},"oneway":true}}"#
        ));
    }
    let Some(replies) = others::talk(&path, 65534, &calls) else { return };
    assert_eq!(replies.len(), reading.len() + changing.len(), "{replies:?}");
    for (reply, (method, _)) in replies.iter().zip(reading.iter().chain(&changing)) {
        let denied = reply["error"] == "io.narwarden.PermissionDenied";
        assert_eq!(denied, changing.iter().any(|(it, _)| it == method), "{method}: {reply}");
    }
    assert_eq!(fake.asked(), Vec::<String>::new());
    // The control: the same calls by root do come to the warden.
    if is_root() {
        let mut client = Client::connect(&path);
        for (method, parameters) in &changing[..changing.len() - 1] {
            let reply = client.method(method, parameters).unwrap();
            assert_ne!(reply["error"], "io.narwarden.PermissionDenied", "{method}");
        }
        assert_eq!(fake.asked().len(), changing.len() - 2, "all but the proposal were noted");
    }
}

/// However often somebody asks, the warden is not asked more than ten times a second.
#[test]
fn others_cannot_make_the_warden_work() {
    let (_directory, path, fake) = start();
    let calls = vec![r#"{"method":"io.narwarden.Status"}"#.to_owned(); 100];
    let begin = std::time::Instant::now();
    let Some(replies) = others::talk(&path, 65534, &calls) else { return };
    assert_eq!(replies.len(), 100);
    let seconds = begin.elapsed().as_secs_f64();
    let asked = fake.statuses.load(Ordering::SeqCst);
    assert!(asked as f64 <= seconds * 10.0 + 2.0, "{asked} times in {seconds} s");
    assert!(seconds >= 0.9, "100 answers in {seconds} s");
    assert!(replies.iter().all(|it| it["parameters"]["generations"][2]["toplevel"] == BAD));
}

#[test]
fn a_client_of_another_user() {
    others::client();
}
