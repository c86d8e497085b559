# What tests/run asks for, beside a kernel and root.
{ pkgs }:
pkgs.mkShell {
  packages = [
    pkgs.acl
    pkgs.attr
    pkgs.cargo
    pkgs.cargo-deny
    pkgs.clippy
    pkgs.nix
    pkgs.python3
    pkgs.rustc
    pkgs.rustfmt
    pkgs.sqlite
  ];
}
