//! What activates a toplevel, found by inode and never outside the store.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]
#![allow(dead_code, reason = "each test program uses a part of the workplace")]

mod workplace;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::Command;

use narwarden_core::store_path::StorePath;
use narwarden_linux::file_id::FileId;
use narwardend::entry_points::{
    EntryPoint, Lies, NAMES, ResolveError, Role, Surface, entry_points, essential, is_entry_point,
    is_toplevel, open_store, role, switch_program,
};
use workplace::Workplace;

/// A store like that of a NixOS host.
struct Store {
    place: Workplace,
    toplevel: StorePath,
    switch: StorePath,
    systemd: StorePath,
}

impl Store {
    fn new() -> Self {
        let place = Workplace::new();
        let [switch, systemd] =
            ["switch-to-configuration-0.1.0", "systemd-259"].map(|it| place.path(it));
        let store =
            Self { toplevel: place.path("nixos-system-demo-26.05"), place, switch, systemd };
        store.file(&store.switch, "bin/switch-to-configuration", "\u{7f}ELF switch");
        store.file(&store.systemd, "lib/systemd/systemd", "\u{7f}ELF systemd");
        store.fill(&store.toplevel);
        store
    }

    fn at(&self, path: &StorePath, name: &str) -> PathBuf {
        let at = self.place.physical(path).join(name);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        at
    }

    fn file(&self, path: &StorePath, name: &str, contents: &str) {
        fs::write(self.at(path, name), contents).unwrap();
    }

    fn link(&self, path: &StorePath, name: &str, target: &str) {
        let at = self.at(path, name);
        let _ = fs::remove_file(&at);
        symlink(target, at).unwrap();
    }

    /// What nixpkgs puts into a toplevel.
    fn fill(&self, path: &StorePath) {
        self.file(path, "bin/switch-to-configuration", "#!/bin/bash -e\nexec …\n");
        let shared = format!("{}/bin/switch-to-configuration", self.switch);
        self.link(path, "bin/.switch-to-configuration-wrapped", &shared);
        for name in ["activate", "dry-activate", "prepare-root"] {
            self.file(path, name, "#!/bin/bash\n");
        }
        self.file(path, "nixos-version", "26.05");
        self.link(path, "systemd", &self.systemd.to_string());
        let systemd = self.at(&self.systemd, "lib/systemd/systemd");
        let _ = fs::remove_file(self.at(path, "init"));
        fs::hard_link(systemd, self.at(path, "init")).unwrap();
    }

    fn look(&self, path: &StorePath) -> Surface {
        entry_points(self.open(), path).unwrap()
    }

    fn open(&self) -> rustix::fd::OwnedFd {
        open_store(&self.place.location()).unwrap()
    }

    fn id(&self, path: &StorePath, name: &str) -> FileId {
        FileId::of_link(&self.at(path, name)).unwrap()
    }
}

trait Located {
    fn location(&self) -> PathBuf;
}

impl Located for Workplace {
    fn location(&self) -> PathBuf {
        self.places.location.store_directory()
    }
}

fn by_name(list: &[EntryPoint]) -> BTreeMap<&str, &EntryPoint> {
    list.iter().map(|it| (it.name.as_str(), it)).collect()
}

#[test]
fn a_toplevel_as_nixpkgs_makes_it() {
    let store = Store::new();
    let surface = store.look(&store.toplevel);
    let own = by_name(&surface.entry_points);
    let names: Vec<_> = own.keys().copied().collect();
    assert_eq!(names, ["activate", "bin/switch-to-configuration", "dry-activate", "prepare-root"]);
    for (name, entry) in &own {
        assert_eq!((entry.id, &entry.lies), (store.id(&store.toplevel, name), &Lies::Here));
        assert_eq!(FileId::of(&entry.file).unwrap(), entry.id);
    }
    // The program behind it belongs to no toplevel.
    assert_eq!(role(store.open(), store.switch.base_name()).unwrap(), Role::SwitchProgram);
    let shared = switch_program(store.open(), &store.switch).unwrap();
    assert_eq!(shared.id, store.id(&store.switch, "bin/switch-to-configuration"));
    assert!(surface.refused.is_empty() && surface.specialisations.is_empty());
}

#[test]
fn init_is_never_listed_and_so_neither_is_systemd() {
    let store = Store::new();
    let systemd = store.id(&store.systemd, "lib/systemd/systemd");
    assert_eq!(
        store.id(&store.toplevel, "init"),
        systemd,
        "one inode, as auto-optimise-store makes it"
    );
    let surface = store.look(&store.toplevel);
    let mut all = surface.entry_points.iter();
    assert!(all.all(|entry| entry.id != systemd && entry.name != "init"));
    assert!(!NAMES.contains(&"init"));
}

#[test]
fn what_the_host_stands_on_is_known_by_inode() {
    // An `activate` that is a verbatim copy of systemd has its inode. It is listed, for it is what would run; and
    // that nobody may wait for it is told as well.
    let store = Store::new();
    let evil = store.place.path("nixos-system-evil");
    let systemd = store.at(&store.systemd, "lib/systemd/systemd");
    fs::hard_link(systemd, store.at(&evil, "activate")).unwrap();
    let surface = store.look(&evil);
    let [entry] = surface.entry_points.as_slice() else { panic!("{surface:?}") };
    assert!(entry.links > 1);
    assert!(essential(&store.place.places, store.open()).is_empty(), "nothing runs here yet");
    symlink(store.toplevel.to_string(), store.place.root.path().join("run/current-system"))
        .unwrap();
    assert!(essential(&store.place.places, store.open()).contains(&entry.id));
    // The entry points of the running system itself are not among it.
    let own = store.look(&store.toplevel).entry_points;
    assert!(own.iter().all(|it| !essential(&store.place.places, store.open()).contains(&it.id)));
}

#[test]
fn what_is_a_toplevel() {
    let store = Store::new();
    let made = |name: &str, files: &[&str]| {
        let path = store.place.path(name);
        files.iter().for_each(|file| store.file(&path, file, "#!"));
        role(store.open(), path.base_name()).unwrap()
    };
    let (switch, wrapped) = ("bin/switch-to-configuration", "bin/.switch-to-configuration-wrapped");
    assert_eq!(made("a", &["nixos-version"]), Role::Toplevel);
    assert_eq!(made("b", &["activate"]), Role::Toplevel);
    assert_eq!(made("separate-activation-script", &[switch, wrapped]), Role::Toplevel);
    assert_eq!(made("c", &[switch]), Role::SwitchProgram);
    assert_eq!(made("nixos-system-by-name-only", &["bin/sh"]), Role::Other);
    assert_eq!(made("d", &["share/nixos-version", "lib/activate"]), Role::Other);
    assert!(is_toplevel(store.open(), store.toplevel.base_name()).unwrap());
    for name in ["", ".", "..", ".links", "../../etc", store.place.absent("gone").base_name()] {
        assert_eq!(role(store.open(), name).unwrap(), Role::Other, "{name}");
    }
    // A single file, and names that lead out: there is something of that name.
    let file = store.place.absent("file");
    fs::write(store.place.physical(&file), "").unwrap();
    assert_eq!(role(store.open(), file.base_name()).unwrap(), Role::Other);
    let out = store.place.path("out");
    store.link(&out, "activate", "/tmp/evil");
    assert_eq!(role(store.open(), out.base_name()).unwrap(), Role::Toplevel);
}

#[test]
fn specialisations_are_toplevels_of_their_own() {
    let store = Store::new();
    let child = store.place.path("nixos-system-demo-26.05-gaming");
    store.fill(&child);
    store.link(&store.toplevel, "specialisation/gaming", &child.to_string());
    store.link(&store.toplevel, "specialisation/gone", &store.place.absent("gone").to_string());
    store.link(&store.toplevel, "specialisation/out", "/tmp/evil");
    let surface = store.look(&store.toplevel);
    assert_eq!(surface.specialisations, std::slice::from_ref(&child));
    assert_eq!(surface.entry_points.len(), 4, "the child's are its own");
    let [Refused { name, error: ResolveError::Escape { target } }] = surface.refused.as_slice()
    else {
        panic!("{surface:?}")
    };
    assert_eq!((name.as_str(), target.as_slice()), ("specialisation/out", &b"/tmp/evil"[..]));
    assert_eq!(store.look(&child).entry_points.len(), 4);

    // One that hides in the toplevel itself.
    store.fill(&store.toplevel);
    store.file(&store.toplevel, "specialisation/inside/activate", "#!");
    let surface = store.look(&store.toplevel);
    let entry = by_name(&surface.entry_points)["specialisation/inside/activate"];
    assert_eq!(entry.id, store.id(&store.toplevel, "specialisation/inside/activate"));
}

use narwardend::entry_points::Refused;

#[test]
fn a_wrapper_as_deploy_rs_makes_it() {
    // buildEnv: links to everything, `bin` as a farm of links or as one link.
    for bin in ["farm", "one link"] {
        let store = Store::new();
        let wrapper = store.place.path("activatable-nixos-system-demo-26.05");
        for name in ["activate", "dry-activate", "prepare-root", "nixos-version", "init", "systemd"]
        {
            store.link(&wrapper, name, &format!("{}/{name}", store.toplevel));
        }
        if bin == "farm" {
            for name in ["bin/switch-to-configuration", "bin/.switch-to-configuration-wrapped"] {
                store.link(&wrapper, name, &format!("{}/{name}", store.toplevel));
            }
        } else {
            store.link(&wrapper, "bin", &format!("{}/bin", store.toplevel));
        }
        store.file(&wrapper, "deploy-rs-activate", "#!");
        assert_eq!(role(store.open(), wrapper.base_name()).unwrap(), Role::Toplevel);
        // What it leads to is the system's own, whoever leads there.
        let surface = store.look(&wrapper);
        let [own] = surface.entry_points.as_slice() else { panic!("{bin}: {surface:?}") };
        assert_eq!((own.name.as_str(), &own.lies), ("deploy-rs-activate", &Lies::Here), "{bin}");
        assert_eq!(own.id, store.id(&wrapper, "deploy-rs-activate"));
    }
}

#[test]
fn what_lies_elsewhere_belongs_to_whoever_it_lies_with() {
    let store = Store::new();
    let tool = store.place.path("coreutils-9");
    store.file(&tool, "bin/true", "\u{7f}ELF");
    let evil = store.place.path("x");
    let links = [
        ("activate", format!("{}/activate", store.toplevel)),
        ("dry-activate", format!("{}/bin/switch-to-configuration", store.switch)),
        ("prepare-root", format!("{tool}/bin/true")),
    ];
    for (name, target) in links {
        store.link(&evil, name, &target);
    }
    let surface = store.look(&evil);
    let [only] = surface.entry_points.as_slice() else { panic!("{surface:?}") };
    assert_eq!((only.name.as_str(), &only.lies), ("prepare-root", &Lies::In(tool.clone())));

    // A link is no switch program, and what holds more than one is none.
    let fake = store.place.path("fake");
    store.link(&fake, "bin/switch-to-configuration", &format!("{tool}/bin/true"));
    assert_eq!(role(store.open(), fake.base_name()).unwrap(), Role::Toplevel);
    let more = store.place.path("more");
    store.file(&more, "bin/switch-to-configuration", "#!");
    assert_eq!(role(store.open(), more.base_name()).unwrap(), Role::SwitchProgram);
    store.file(&more, "deploy-rs-activate", "#!");
    assert_eq!(role(store.open(), more.base_name()).unwrap(), Role::Toplevel);
}

#[test]
fn names_of_entry_points() {
    for (name, expected) in [
        ("activate", true),
        ("bin/switch-to-configuration", true),
        ("specialisation/a/activate", true),
        ("specialisation/a/specialisation/b/bin/apply", true),
        ("specialisation/activate", false),
        ("specialisation/", false),
        ("bin/activate", false),
        ("sw/activate", false),
        ("init", false),
        ("", false),
    ] {
        assert_eq!(is_entry_point(name), expected, "{name}");
    }
}

#[test]
fn links_that_lead_out_are_refused() {
    let store = Store::new();
    let evil = store.place.path("nixos-system-evil");
    let outside = store.place.root.path().join("outside");
    fs::write(&outside, "#!").unwrap();
    let escape =
        |target: &str| format!("it leads out of the store, to \"{}\"", target.escape_default());
    let up = "../../outside";
    let table = [
        (outside.to_str().unwrap(), escape(outside.to_str().unwrap())),
        ("/tmp/evil", escape("/tmp/evil")),
        ("/proc/self/exe", escape("/proc/self/exe")),
        ("/nix/storeroom/x", escape("/nix/storeroom/x")),
        ("/nix/store", escape("/nix/store")),
        ("/nix/store/../../etc/passwd", escape("/nix/store/../../etc/passwd")),
        (up, escape(up)),
        ("../../../../../../../../bin/sh", escape("../../../../../../../../bin/sh")),
        ("activate", "it leads through too many links or names".into()),
        ("..", escape("..")),
        (".", "it leads to a directory, not to a file".into()),
        ("evil\u{1b}[2J\n/..", String::new()),
        ("nowhere", String::new()),
        ("/nix/store/.links/abc", escape("/nix/store/.links/abc")),
    ];
    fs::create_dir(store.place.location().join(".links")).unwrap();
    fs::write(store.place.location().join(".links/abc"), "#!").unwrap();
    for (target, expected) in table {
        store.link(&evil, "activate", target);
        let surface = store.look(&evil);
        assert!(surface.entry_points.is_empty(), "{target:?}: {surface:?}");
        let refused: Vec<_> = surface.refused.iter().map(|it| it.error.to_string()).collect();
        if expected.is_empty() {
            assert!(refused.is_empty(), "{target:?}: {refused:?}");
        } else {
            assert_eq!(refused, [expected], "{target:?}");
        }
    }
    // The control: a file by all the ways that stay inside.
    let tool = store.place.path("tool");
    store.file(&tool, "bin/tool", "#!");
    let real = format!("{}/bin/tool", tool.base_name());
    for target in [
        format!("/nix/store/{real}"),
        format!("//nix/./store//{real}"),
        format!("../{real}"),
        format!("./../{}/./bin/../bin/tool", tool.base_name()),
    ] {
        store.link(&evil, "activate", &target);
        let surface = store.look(&evil);
        let [entry] = surface.entry_points.as_slice() else { panic!("{target}: {surface:?}") };
        assert_eq!((entry.id, &entry.lies), (store.id(&tool, "bin/tool"), &Lies::In(tool.clone())));
    }
}

#[test]
fn what_cannot_be_run_is_refused_without_waiting() {
    let store = Store::new();
    let evil = store.place.path("nixos-system-evil");
    for (name, make) in [("activate", "mkfifo"), ("dry-activate", "mkdir")] {
        let at = store.at(&evil, name);
        assert!(Command::new(make).arg(at).status().unwrap().success());
    }
    store.link(&evil, "bin", "activate");
    let _socket = std::os::unix::net::UnixListener::bind(store.at(&evil, "prepare-root")).unwrap();
    let surface = store.look(&evil);
    assert!(surface.entry_points.is_empty());
    let refused: Vec<_> =
        surface.refused.iter().map(|it| format!("{} {}", it.name, it.error)).collect();
    assert_eq!(
        refused,
        [
            "activate it leads to a FIFO, not to a file",
            "dry-activate it leads to a directory, not to a file",
            "prepare-root it leads to a socket, not to a file",
        ]
    );
}

#[test]
fn too_much_is_not_looked_at() {
    let store = Store::new();
    for number in 0..300 {
        store.link(&store.toplevel, &format!("specialisation/{number}"), "/nix/store/x");
    }
    let surface = store.look(&store.toplevel);
    assert!(surface.refused.len() <= 257 && !surface.refused.is_empty());
    // Links that grow the way ahead at every step.
    let evil = store.place.path("nixos-system-evil");
    let long = "activate/".repeat(400);
    store.link(&evil, "activate", &long);
    let surface = store.look(&evil);
    assert!(matches!(surface.refused[0].error, ResolveError::TooManySteps), "{surface:?}");
}

/// However long it takes to find out what the path is that a name leads to, no name of the toplevel is left out.
#[test]
fn long_ways_leave_no_name_out() {
    let store = Store::new();
    let [evil, program] = ["nixos-system-evil", "program"].map(|it| store.place.path(it));
    store.file(&evil, "nixos-version", "26.05");
    store.file(&program, "bin/apply", "#!/bin/sh\n");
    store.file(&program, "d/x", "");
    for (name, times, next) in [("l0", 700, "gone"), ("l1", 700, "l0"), ("l2", 560, "l1")] {
        store.link(&program, name, &format!("{}{next}", "d/../".repeat(times)));
    }
    for name in NAMES.iter().chain(&["nixos-version"]).filter(|name| **name != "bin/apply") {
        store.link(&program, name, if name.contains('/') { "../l2" } else { "l2" });
    }
    assert_eq!(role(store.open(), program.base_name()).unwrap(), Role::Other, "it takes long");
    for name in NAMES {
        let up = if name.contains('/') { "../.." } else { ".." };
        store.link(&evil, name, &format!("{up}/{}/bin/apply", program.base_name()));
    }
    let found = entry_points(store.open(), &evil).unwrap();
    let names: Vec<_> = found.entry_points.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, NAMES);
    assert!(found.entry_points.iter().all(|it| it.lies == Lies::In(program.clone())));
}

#[test]
fn the_kernel_finds_the_same_files() {
    // Below the real root, the kernel's own way through the links is the oracle.
    let store = Store::new();
    let surface = store.look(&store.toplevel);
    for entry in &surface.entry_points {
        let at = store.at(&store.toplevel, &entry.name);
        let at = match fs::read_link(&at) {
            Ok(target) => store.place.places.location.physical(&target),
            Err(_) => at,
        };
        assert_eq!(FileId::at(&at).unwrap(), entry.id, "{}", entry.name);
    }
}
