# Without flakes: `nix-build -A narwarden`. In a configuration:
#
#   imports = [ (import /path/to/this { }).nixosModule ];
#
# nixpkgs is that of flake.lock, unless another is given.
{
  system ? builtins.currentSystem,
  nixpkgs ?
    let
      lock = (builtins.fromJSON (builtins.readFile ./flake.lock)).nodes.nixpkgs.locked;
    in
    fetchTarball {
      url = "https://github.com/${lock.owner}/${lock.repo}/archive/${lock.rev}.tar.gz";
      sha256 = lock.narHash;
    },
  pkgs ? import nixpkgs {
    inherit system;
    overlays = [ (import ./packaging/overlay.nix) ];
  },
}:
{
  narwarden = pkgs.callPackage ./packaging/package.nix { };
  narwarden-cli = pkgs.callPackage ./packaging/package.nix { withDaemon = false; };
  # One program without a library, for installers and rescue systems.
  narwarden-static = pkgs.pkgsStatic.callPackage ./packaging/package.nix { };

  overlay = import ./packaging/overlay.nix;
  nixosModule = ./nixos-module;

  # nix-build -A tests.admit-signed
  tests = import ./tests/nixos { inherit pkgs; };

  shell = import ./packaging/shell.nix { inherit pkgs; };
}
