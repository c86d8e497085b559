//! A generation of NixOS, small: every kind of path that a real one has.

use crate::error::ForgeError;
use crate::signer::{ci, release};
use crate::store::{Addressing, Forge};
use crate::tree::{SELF, Tree};
use narwarden_core::content_address::Method;
use narwarden_core::hash::Algorithm;
use narwarden_core::store_path::StorePath;

/// The name of the toplevel, like that of any NixOS host.
const TOPLEVEL: &str = "nixos-system-demo-26.05";

/// The paths of a generation.
#[derive(Clone, Debug)]
pub struct Generation {
    /// The toplevel, signed by `ci` and `release`.
    pub toplevel: StorePath,
    /// A library that refers to itself.
    pub glibc: StorePath,
    /// The shell.
    pub bash: StorePath,
    /// The first process.
    pub systemd: StorePath,
    /// The program that activates, shared by all generations.
    pub switch: StorePath,
    /// `/etc` as a tree of links.
    pub etc: StorePath,
    /// What is in everybody's `PATH`.
    pub system_path: StorePath,
    /// A text, as `builtins.toFile` makes it; unsigned.
    pub text: StorePath,
    /// A text that refers to the shell; unsigned.
    pub unit: StorePath,
    /// A source tree, content-addressed by its NAR; unsigned.
    pub source: StorePath,
    /// A content-addressed tree that refers to itself; unsigned.
    pub manual: StorePath,
    /// A download, content-addressed by its one file; unsigned.
    pub archive: StorePath,
}

impl Generation {
    /// What the toplevel refers to.
    fn parts(&self) -> [&StorePath; 7] {
        [
            &self.bash,
            &self.systemd,
            &self.switch,
            &self.etc,
            &self.system_path,
            &self.source,
            &self.manual,
        ]
    }
}

impl Forge {
    /// Adds a generation that [`Rules::good`](crate::Rules::good) admits, and makes it the system profile.
    ///
    /// # Errors
    /// What the system or SQLite refuse.
    pub fn good_generation(&mut self) -> Result<Generation, ForgeError> {
        let input = Addressing::Input;
        let by = |method| Addressing::Content(method, Algorithm::Sha256);

        let libc = format!("\u{7f}ELF libc, found at /nix/store/{SELF}-glibc-2.42/lib\n");
        let glibc = Tree::directory([
            ("lib/libc.so.6", Tree::executable(libc)),
            ("lib/libm.so.6", Tree::file("\u{7f}ELF libm\n")),
            ("share/doc", Tree::directory::<&str>([])),
        ]);
        let glibc = self.add("glibc-2.42", &glibc, input, &[])?;

        let elf = |what: &str| format!("\u{7f}ELF {what}, loads {glibc}/lib/libc.so.6\n");
        let bash = Tree::directory([
            ("bin/bash", Tree::executable(elf("bash"))),
            ("bin/sh", Tree::symlink("bash")),
        ]);
        let bash = self.add("bash-5.3", &bash, input, &[&glibc])?;
        let systemd = Tree::directory([
            ("lib/systemd/systemd", Tree::executable(elf("systemd"))),
            ("example/systemd/user.conf", Tree::file("[Manager]\n")),
            ("bin/systemctl", Tree::executable(elf("systemctl"))),
        ]);
        let systemd = self.add("systemd-259", &systemd, input, &[&glibc])?;
        let switch = Tree::executable(elf("switch-to-configuration"));
        let switch = Tree::directory([("bin/switch-to-configuration", switch)]);
        let switch = self.add("switch-to-configuration-0.1.0", &switch, input, &[&glibc])?;

        let text = Tree::file("ID=nixos\nVERSION_ID=26.05\n");
        let text = self.add("os-release", &text, by(Method::Text), &[])?;
        let unit = Tree::file(format!("[Service]\nExecStart={bash}/bin/bash\n"));
        let unit = self.add("unit-demo.service", &unit, by(Method::Text), &[&bash])?;
        let archive = Tree::file("\u{1f}\u{7f} not really compressed\n");
        let archive = self.add("demo-1.0.tar.gz", &archive, by(Method::Flat), &[])?;
        let source = Tree::directory([
            ("flake.nix", Tree::file("{ outputs = _: { }; }\n")),
            ("configure", Tree::executable("#!/bin/sh\n")),
            ("demo.tar.gz", Tree::symlink(archive.to_string())),
        ]);
        let source = self.add("source", &source, by(Method::Nar), &[&archive])?;
        let manual = Tree::directory([
            ("index.html", Tree::file(format!("<a href=/nix/store/{SELF}-manual/a.html>\n"))),
            ("a.html", Tree::file(format!("{SELF} and {SELF}\n"))),
        ]);
        let manual = self.add("manual", &manual, by(Method::Nar), &[])?;

        let etc = Tree::directory([
            ("os-release", Tree::symlink(text.to_string())),
            ("systemd/system/demo.service", Tree::symlink(unit.to_string())),
            ("shadow.mode", Tree::file("0400")),
        ]);
        let etc = self.add("etc", &etc, input, &[&text, &unit])?;
        let system_path = Tree::directory([
            ("bin/bash", Tree::symlink(format!("{bash}/bin/bash"))),
            ("bin/systemctl", Tree::symlink(format!("{systemd}/bin/systemctl"))),
        ]);
        let system_path = self.add("system-path", &system_path, input, &[&bash, &systemd])?;

        let ci = ci();
        for path in [&glibc, &bash, &systemd, &switch, &etc, &system_path] {
            self.sign(path, &[&ci])?;
        }
        let mut generation = Generation {
            // Until there is one.
            toplevel: etc.clone(),
            glibc,
            bash,
            systemd,
            switch,
            etc,
            system_path,
            text,
            unit,
            source,
            manual,
            archive,
        };
        generation.toplevel = self.toplevel_with(&generation, &[])?;
        let profiles = self.root().join("nix/var/nix/profiles");
        for (link, target) in
            [("system-1-link", generation.toplevel.to_string()), ("system", "system-1-link".into())]
        {
            let at = profiles.join(link);
            std::os::unix::fs::symlink(target, &at).map_err(ForgeError::io(&at))?;
        }
        Ok(generation)
    }

    /// Adds a toplevel like that of `generation` that refers to `more` as well, signed like it.
    ///
    /// # Errors
    /// What the system or SQLite refuse.
    pub fn toplevel_with(
        &mut self,
        generation: &Generation,
        more: &[&StorePath],
    ) -> Result<StorePath, ForgeError> {
        let references = [&generation.parts()[..], more].concat();
        let tree = toplevel(generation, more);
        let toplevel = self.add(TOPLEVEL, &tree, Addressing::Input, &references)?;
        self.sign(&toplevel, &[&ci(), &release()])?;
        Ok(toplevel)
    }

    /// Adds a toplevel like that of `generation`, unsigned and content-addressed like everything it refers to:
    /// what any local user can do.
    ///
    /// # Errors
    /// What the system or SQLite refuse.
    pub fn content_addressed_toplevel(
        &mut self,
        generation: &Generation,
    ) -> Result<StorePath, ForgeError> {
        let references = [&generation.source, &generation.text, &generation.manual];
        let tree = toplevel(generation, &[]);
        self.add(TOPLEVEL, &tree, Addressing::Content(Method::Nar, Algorithm::Sha256), &references)
    }
}

fn toplevel(generation: &Generation, more: &[&StorePath]) -> Tree {
    let Generation { bash, systemd, switch, etc, system_path, source, manual, .. } = generation;
    let wrapper = format!(
        "#!{bash}/bin/bash\nexport TOPLEVEL=/nix/store/{SELF}-{TOPLEVEL}\n\
         exec {switch}/bin/switch-to-configuration \"$@\"\n"
    );
    let mut extra: String = [source, manual].map(|path| format!("{path}\n")).concat();
    extra.extend(more.iter().map(|path| format!("{path}\n")));
    // A real one names itself by its `out` only in the wrapper, too.
    Tree::directory([
        ("activate", Tree::executable(format!("#!{bash}/bin/bash\n"))),
        ("bin/switch-to-configuration", Tree::executable(wrapper)),
        ("etc", Tree::symlink(format!("{etc}/etc"))),
        ("extra-dependencies", Tree::file(extra)),
        ("init", Tree::symlink(format!("{systemd}/lib/systemd/systemd"))),
        ("nixos-version", Tree::file("26.05.demo")),
        ("sw", Tree::symlink(system_path.to_string())),
        ("systemd", Tree::symlink(systemd.to_string())),
    ])
}
