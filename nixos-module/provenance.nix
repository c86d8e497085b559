# What a generation was made from, said inside of it: covered by the signature of the toplevel, and
# believed as much as that.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.narwarden;

  provenance = lib.filterAttrs (_: value: value != null) {
    schema = "narwarden.provenance/1";
    revision = cfg.provenance.revision;
    flake-lock-sha256 =
      if cfg.provenance.flakeLock == null then
        null
      else
        builtins.hashFile "sha256" cfg.provenance.flakeLock;
    nixos-label = config.system.nixos.label;
    nixpkgs-revision = config.system.nixos.revision;
    narwarden = cfg.package.version;
  };
in
{
  config = lib.mkIf cfg.enable {
    environment.etc."narwarden/provenance.json".source = pkgs.writeText "provenance.json" (
      builtins.toJSON provenance + "\n"
    );

    boot.bootspec.extensions."io.narwarden.v1" =
      provenance
      // lib.optionalAttrs (cfg.rules != null) {
        rules = "${cfg.rules}";
      };
  };
}
