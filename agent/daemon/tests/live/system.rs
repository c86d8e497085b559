//! Small systems whose entry points really run: what runs leaves a line behind.

use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Forge, SELF, Tree, ci, release};
use std::os::unix::fs::symlink;
use std::path::Path;

const NAME: &str = "nixos-system-demo-26.05";

/// What takes seconds to hash, and little more memory than a test may.
const BIG: usize = 1 << 30;

/// A store with systems in it.
#[derive(Debug)]
pub(crate) struct System {
    pub(crate) forge: Forge,
    /// The program behind all entry points.
    pub(crate) switch: StorePath,
    /// Signed by all who must.
    pub(crate) good: StorePath,
    /// The same, and signed by nobody.
    pub(crate) evil: StorePath,
}

fn entry(word: &str, name: &str) -> Tree {
    Tree::executable(format!("#!/bin/sh\necho \"{word} {name} $*\" >> \"$TRACE\"\n"))
}

impl System {
    pub(crate) fn new(root: &Path) -> Self {
        let mut forge = Forge::new(root).unwrap();
        let program = Tree::executable(
            "#!/bin/sh\necho \"shared $1 for $TOPLEVEL\" >> \"$TRACE\"\n".as_bytes(),
        );
        let switch = Tree::directory([("bin/switch-to-configuration", program)]);
        let switch = forge.add("switch-to-configuration-0.1.0", &switch, Addressing::Input, &[]);
        let switch = switch.unwrap();
        forge.sign(&switch, &[&ci()]).unwrap();
        let (good, evil) = (switch.clone(), switch.clone());
        let mut system = Self { forge, switch, good, evil };
        let child = system.toplevel("good-child", None);
        system.good = system.toplevel("good", Some(&child));
        for path in [child, system.good.clone()] {
            system.sign(&path);
        }
        let child = system.toplevel("evil-child", None);
        system.evil = system.toplevel("evil", Some(&child));
        system
    }

    /// Signed by all who must.
    pub(crate) fn sign(&mut self, path: &StorePath) {
        self.forge.sign(path, &[&ci(), &release()]).unwrap();
    }

    /// A toplevel that nobody signed, whose traces have `word` in them.
    pub(crate) fn toplevel(&mut self, word: &str, child: Option<&StorePath>) -> StorePath {
        self.toplevel_with(word, child, &[], &[])
    }

    pub(crate) fn toplevel_with(
        &mut self,
        word: &str,
        child: Option<&StorePath>,
        more: &[(&str, Tree)],
        references: &[&StorePath],
    ) -> StorePath {
        let wrapper = format!(
            "#!/bin/sh\necho \"{word} wrapper $*\" >> \"$TRACE\"\nTOPLEVEL=/nix/store/{SELF}-{NAME} \
             exec \"$STORE/{}/bin/switch-to-configuration\" \"$@\"\n",
            self.switch.base_name()
        );
        let mut entries = vec![
            ("activate", entry(word, "activate")),
            ("dry-activate", entry(word, "dry-activate")),
            ("prepare-root", entry(word, "prepare-root")),
            ("bin/switch-to-configuration", Tree::executable(wrapper)),
            ("nixos-version", Tree::file(format!("26.05.{word}"))),
        ];
        if let Some(child) = child {
            // A program that the loader can be given, of this toplevel alone.
            let shell = std::fs::read("/bin/sh").unwrap();
            entries.push(("bin/apply", Tree::executable([&shell, word.as_bytes()].concat())));
            entries.push(("specialisation/one", Tree::symlink(child.to_string())));
        }
        entries.extend(more.iter().cloned());
        let references: Vec<_> = [Some(&self.switch), child]
            .into_iter()
            .flatten()
            .chain(references.iter().copied())
            .collect();
        let references: Vec<StorePath> = references.into_iter().cloned().collect();
        let references: Vec<&StorePath> = references.iter().collect();
        self.forge.add(NAME, &Tree::directory(entries), Addressing::Input, &references).unwrap()
    }

    /// A toplevel whose closure has a big path in it, signed as it must be.
    pub(crate) fn slow(&mut self, word: &str) -> StorePath {
        let small = Tree::directory([("block", Tree::file(word))]);
        let big = self.forge.add(&format!("big-{word}"), &small, Addressing::Input, &[]).unwrap();
        self.forge.overwrite(&big, "block", &vec![b'x'; BIG]).unwrap();
        self.forge.adjust_row(&big).unwrap();
        self.forge.sign(&big, &[&ci()]).unwrap();
        self.toplevel_with(word, None, &[], &[&big])
    }

    fn profiles(&self) -> std::path::PathBuf {
        self.forge.root().join("nix/var/nix/profiles")
    }

    /// A generation of the system profile.
    pub(crate) fn generation(&self, number: u32, target: &str) {
        symlink(target, self.profiles().join(format!("system-{number}-link"))).unwrap();
    }

    /// Makes a generation the current one, as Nix does.
    pub(crate) fn set_current(&self, number: u32) {
        let profiles = self.profiles();
        let temporary = profiles.join(".new-system");
        let _ = std::fs::remove_file(&temporary);
        symlink(format!("system-{number}-link"), &temporary).unwrap();
        std::fs::rename(temporary, profiles.join("system")).unwrap();
    }

    pub(crate) fn current(&self) -> String {
        std::fs::read_link(self.profiles().join("system")).unwrap().display().to_string()
    }
}
