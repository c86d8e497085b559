//! `bench-root DIR N`: makes a root for bench/gate.py, with a store whose entry points really run.
//!
//! Generations 1 to N of the system profile are signed by all who must; one toplevel beside them is signed by nobody.
//! Prints the two store paths: the last generation's, and the other one.

use narwarden_core::store_path::StorePath;
use narwarden_forge::{Addressing, Forge, Rules, Tree, ci, release};
use std::error::Error;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::PathBuf;

const NAME: &str = "nixos-system-bench-26.05";

fn toplevel(forge: &mut Forge, word: &str) -> Result<StorePath, Box<dyn Error>> {
    let script =
        |name: &str| Tree::executable(format!("#!/bin/sh\necho {word} {name} >> $TRACE\n"));
    let names = ["activate", "dry-activate", "bin/switch-to-configuration"];
    let scripts = names.map(|name| (name, script(name)));
    let version = ("nixos-version", Tree::file(format!("26.05.{word}")));
    let tree = Tree::directory(scripts.into_iter().chain([version]));
    Ok(forge.add(NAME, &tree, Addressing::Input, &[])?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), Some(number)) = (arguments.next(), arguments.next()) else {
        return Err("usage: bench-root DIR N".into());
    };
    let root = PathBuf::from(directory);
    let number: u32 = number.to_str().unwrap_or_default().parse()?;
    let mut forge = Forge::new(&root)?;
    let profiles = root.join("nix/var/nix/profiles");
    let mut last = toplevel(&mut forge, "evil")?;
    let evil = last.clone();
    for generation in 1..=number {
        last = toplevel(&mut forge, &format!("good-{generation}"))?;
        forge.sign(&last, &[&ci(), &release()])?;
        symlink(last.to_string(), profiles.join(format!("system-{generation}-link")))?;
    }
    symlink(format!("system-{number}-link"), profiles.join("system"))?;
    let Rules { trust, policy } = Rules::good();
    let proposals = root.join("etc/narwarden");
    fs::create_dir_all(&proposals)?;
    fs::write(proposals.join("trust.toml"), trust)?;
    fs::write(proposals.join("policy.toml"), format!("mode = \"enforce\"\n{policy}"))?;
    writeln!(std::io::stdout(), "{last}\n{evil}")?;
    Ok(())
}
