# The same on nixpkgs itself: a NixOS is configured, its unit compared with packaging/, its rules built.
{
  lib,
  module,
  pkgs,
}:
let
  inherit
    (lib.nixosSystem {
      modules = [
        module
        ./cases/minimal.nix
        {
          nixpkgs.hostPlatform = pkgs.stdenv.hostPlatform.system;
          boot.loader.grub.enable = false;
          fileSystems."/" = {
            device = "none";
            fsType = "tmpfs";
          };
          system.stateVersion = lib.trivial.release;
        }
      ];
    })
    config
    ;
  unit = config.systemd.units."narwardend.service";
  sources = lib.fileset.toSource {
    root = ../..;
    fileset = lib.fileset.unions [
      ../../packaging
      ./units.py
    ];
  };
in
pkgs.runCommand "narwarden-module"
  {
    nativeBuildInputs = [ pkgs.python3 ];
    inherit (config.services.narwarden) rules;
    inherit (unit) text;
    # NixOS makes links of it.
    install = "[Install]\nWantedBy=${lib.concatStringsSep " " unit.wantedBy}\n";
    failed = map (it: it.message) (lib.filter (it: !it.assertion) config.assertions);
    passAsFile = [
      "install"
      "text"
    ];
  }
  ''
    if [ -n "$failed" ]; then
      echo "$failed" >&2
      exit 1
    fi
    cat "$textPath" "$installPath" > narwardend.service
    python3 ${sources}/tests/module/units.py narwardend.service
    ls "$rules/trust.toml" "$rules/policy.toml"
    touch "$out"
  ''
