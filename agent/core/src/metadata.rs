//! What Nix leaves of a file's metadata: the canonical form, which no hash and no signature covers.
//!
//! Nix sets it when a path enters the store (`canonicalisePathMetaData`, `posix-fs-canonicalise.cc`): owner
//! root, modes 0444 and 0555, modification time 1, no extended attributes but those in `ignored-acls`. A
//! setuid bit or a file capability added later changes no NAR hash and hands out privileges all the same.

use std::fmt;

/// What is looked at of one file, directory or symlink.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// The lower twelve bits of `st_mode`.
    pub mode: u32,
    /// The user it belongs to.
    pub uid: u32,
    /// The group it belongs to.
    pub gid: u32,
    /// When it was last modified, in seconds since 1970.
    pub mtime: i64,
}

/// What a store path is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A directory.
    Directory,
    /// A regular file.
    Regular,
    /// A symbolic link, whose mode means nothing.
    Symlink,
}

/// To whom everything in the store belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// The group.
    pub gid: u32,
}

impl Owner {
    /// Who owns a store that root manages.
    pub const ROOT: Self = Self { uid: 0, gid: 0 };
}

/// One way in which a file differs from what Nix leaves behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deviation {
    /// It belongs to somebody else.
    Owner {
        /// To whom.
        found: Owner,
    },
    /// It gives whoever runs it the rights of its owner or group, or has the sticky bit.
    SpecialBits {
        /// The mode it has.
        found: u32,
    },
    /// Its permissions are not 0444 or 0555.
    Mode {
        /// The mode it has.
        found: u32,
        /// The modes it may have.
        expected: &'static str,
    },
    /// It was modified after Nix had set its time to 1.
    ModificationTime {
        /// Seconds since 1970.
        found: i64,
    },
    /// It carries an attribute that Nix would have removed: a capability, an access list, …
    Attribute {
        /// The attribute's name, escaped.
        name: String,
    },
}

/// The attributes that Nix leaves alone by default (`ignored-acls`, nix.conf(5)).
const IGNORED: [&[u8]; 3] = [b"security.csm", b"security.selinux", b"system.nfs4_acl"];
const SPECIAL_BITS: u32 = 0o7000;

/// How `node`, with extended attributes of these names, differs from what Nix leaves behind in a store that
/// belongs to `owner`.
pub fn deviations<'a>(
    node: Node,
    attributes: impl Iterator<Item = &'a [u8]>,
    owner: Owner,
) -> impl Iterator<Item = Deviation> {
    let found = Owner { uid: node.uid, gid: node.gid };
    let (canonical, expected) = match (node.kind, node.mode & 0o777) {
        (NodeKind::Directory, mode) => (mode == 0o555, "0555"),
        (NodeKind::Regular, mode) => (matches!(mode, 0o444 | 0o555), "0444 or 0555"),
        (NodeKind::Symlink, _) => (true, ""),
    };
    let special = node.kind != NodeKind::Symlink && node.mode & SPECIAL_BITS != 0;
    let attributes = attributes.filter(|name| !IGNORED.contains(name)).map(|name| {
        let name = name.escape_ascii().to_string().chars().take(80).collect();
        Deviation::Attribute { name }
    });
    [
        (found != owner).then_some(Deviation::Owner { found }),
        special.then_some(Deviation::SpecialBits { found: node.mode }),
        (!canonical).then_some(Deviation::Mode { found: node.mode & 0o777, expected }),
        (node.mtime != 1).then_some(Deviation::ModificationTime { found: node.mtime }),
    ]
    .into_iter()
    .flatten()
    .chain(attributes)
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Owner { found } => write!(f, "belongs to {}:{}", found.uid, found.gid),
            Self::SpecialBits { found } => {
                let names = [(0o4000, "setuid"), (0o2000, "setgid"), (0o1000, "sticky")];
                let set: Vec<_> = names
                    .iter()
                    .filter(|(bit, _)| found & bit != 0)
                    .map(|(_, name)| *name)
                    .collect();
                write!(f, "is {} ({found:04o})", set.join(" and "))
            }
            Self::Mode { found, expected } => {
                write!(f, "has mode {found:04o} instead of {expected}")
            }
            Self::ModificationTime { found } => {
                write!(f, "was modified at {found} instead of 1 second after 1970")
            }
            Self::Attribute { name } => write!(f, "has the extended attribute {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Node = Node { kind: NodeKind::Regular, mode: 0o444, uid: 0, gid: 0, mtime: 1 };
    const DIRECTORY: Node = Node { kind: NodeKind::Directory, mode: 0o555, ..FILE };

    fn found(node: Node, attributes: &[&str]) -> Vec<String> {
        let attributes = attributes.iter().map(|name| name.as_bytes());
        deviations(node, attributes, Owner::ROOT).map(|it| it.to_string()).collect()
    }

    #[test]
    fn what_nix_leaves_behind_deviates_in_nothing() {
        let link = Node { kind: NodeKind::Symlink, mode: 0o777, ..FILE };
        for node in [FILE, Node { mode: 0o555, ..FILE }, DIRECTORY, link] {
            assert_eq!(found(node, &["security.selinux"]), Vec::<String>::new(), "{node:?}");
        }
    }

    #[test]
    fn each_deviation_is_named() {
        let mode = "has mode 0777 instead of 0555";
        let table: [(Node, &[&str], &[&str]); 7] = [
            (Node { mode: 0o4555, ..FILE }, &[], &["is setuid (4555)"]),
            (Node { mode: 0o6555, ..FILE }, &[], &["is setuid and setgid (6555)"]),
            (Node { mode: 0o1777, ..DIRECTORY }, &[], &["is sticky (1777)", mode]),
            (Node { mode: 0o444, ..DIRECTORY }, &[], &["has mode 0444 instead of 0555"]),
            (Node { uid: 1000, gid: 100, ..FILE }, &[], &["belongs to 1000:100"]),
            (Node { mtime: 0, ..FILE }, &[], &["was modified at 0 instead of 1 second after 1970"]),
            (
                FILE,
                &["security.capability", "user.\x1b[2J"],
                &[
                    "has the extended attribute security.capability",
                    "has the extended attribute user.\\x1b[2J",
                ],
            ),
        ];
        for (node, attributes, expected) in table {
            assert_eq!(found(node, attributes), expected, "{node:?}");
        }
    }
}
