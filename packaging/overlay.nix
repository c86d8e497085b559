final: _prev: {
  narwarden = final.callPackage ./package.nix { };
  narwarden-cli = final.callPackage ./package.nix { withDaemon = false; };
}
