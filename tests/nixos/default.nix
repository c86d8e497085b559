# The stories, one file each: `nix-build -A tests.unsigned-leaf`, or `nix build .#checks.x86_64-linux.vm-unsigned-leaf`.
{
  pkgs,
  narwarden ? pkgs.callPackage ../../packaging/package.nix { },
}:
let
  story =
    file:
    pkgs.testers.runNixOSTest {
      imports = [
        ./story.nix
        file
      ];
      story.narwarden = narwarden;
    };
in
{
  admit-signed = story ./admit-signed.nix;
  boot-entries = story ./boot-entries.nix;
  daemon-killed = story ./daemon-killed.nix;
  interpreter = story ./interpreter.nix;
  module-removed = story ./module-removed.nix;
  observe = story ./observe.nix;
  policy-proposed = story ./policy-proposed.nix;
  specialisation = story ./specialisation.nix;
  tampered-file = story ./tampered-file.nix;
  unsigned-leaf = story ./unsigned-leaf.nix;
}
