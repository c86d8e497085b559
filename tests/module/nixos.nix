# As much of NixOS as the module says something to: its options, and how a service becomes a unit.
{ lib, ... }:
let
  inherit (lib) mkOption types;
  option =
    type: default:
    mkOption {
      inherit type default;
    };
  raw = option types.raw;
  string = option types.str;
  bool = option types.bool;
  attrs = option (types.attrsOf types.raw) { };
  list = type: option (types.listOf type) [ ];

  unit = {
    description = string "";
    documentation = list types.str;
    wants = list types.str;
    after = list types.str;
    before = list types.str;
    conflicts = list types.str;
    wantedBy = list types.str;
    unitConfig = attrs;
  };
in
{
  options = {
    meta = raw null;
    assertions = list types.raw;
    warnings = list types.str;
    environment.systemPackages = list types.package;
    environment.etc = mkOption {
      type = types.attrsOf (
        types.submodule {
          options.source = mkOption { type = types.path; };
        }
      );
      default = { };
    };
    systemd.package = raw null;
    systemd.services = mkOption {
      type = types.attrsOf (
        types.submodule {
          options = unit // {
            serviceConfig = attrs;
            environment = attrs;
            reloadIfChanged = bool false;
            restartIfChanged = bool true;
            enableDefaultPath = bool true;
            reloadTriggers = list types.raw;
          };
        }
      );
      default = { };
    };
    systemd.timers = mkOption {
      type = types.attrsOf (types.submodule { options = unit // { timerConfig = attrs; }; });
      default = { };
    };
    system.preSwitchChecks = attrs;
    system.configurationRevision = mkOption {
      type = types.nullOr types.str;
      default = null;
    };
    system.nixos.label = string "26.05.test";
    system.nixos.revision = raw null;
    system.autoUpgrade.enable = bool false;
    boot.bootspec.extensions = attrs;
    boot.isContainer = bool false;
    boot.kernelPackages = raw { kernel.version = "6.12.1"; };
    nix.settings = mkOption {
      type = types.attrsOf types.raw;
      default = { };
    };
  };
}
