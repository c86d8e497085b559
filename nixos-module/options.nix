{
  config,
  lib,
  pkgs,
  ...
}:
let
  inherit (lib) mkOption types;
  toml = import ./toml.nix { inherit lib; };
  rules = import ./types.nix { inherit lib toml; };
  cfg = config.services.narwarden;
in
{
  options.services.narwarden = {
    enable = lib.mkEnableOption "narwarden, which has the kernel refuse the activation of generations that nothing vouches for";

    package = mkOption {
      type = types.package;
      default = pkgs.narwarden or (pkgs.callPackage ../packaging/package.nix { });
      defaultText = lib.literalExpression "pkgs.narwarden";
      description = "The package with `narwardend` and `narwarden`.";
    };

    checkPackage = mkOption {
      type = types.package;
      default = cfg.package;
      defaultText = lib.literalExpression "config.services.narwarden.package";
      description = ''
        The package whose `narwarden` checks trust set and policy when the system is built. Set it to
        one for the building machine where the system is cross-compiled.
      '';
    };

    settings = {
      trust = mkOption {
        type = types.nullOr rules.trust;
        default = null;
        example = lib.literalExpression ''
          {
            version = 1;
            expires = "2027-06-01";
            keys.ci = {
              public = "ci.example.org-1:iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=";
              not-after = "2027-12-31";
            };
          }
        '';
        description = ''
          The trust set, {file}`trust.toml`: whom this host believes. Dates are strings here. A field
          that this module does not know is passed on, and refused at build if the program does not
          know it either. The file is a proposal to a host that has pinned one already.
        '';
      };
      policy = mkOption {
        type = types.nullOr rules.policy;
        default = null;
        example = lib.literalExpression ''
          {
            mode = "enforce";
            require.default = "ci";
          }
        '';
        description = ''
          The policy, {file}`policy.toml`: what a generation must show. The same holds for fields,
          dates and a policy that is pinned already.
        '';
      };
    };

    trustFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "./trust.toml";
      description = ''
        The trust set as a file, instead of {option}`services.narwarden.settings.trust`. It becomes
        part of the system, and is checked when that is built.
      '';
    };

    policyFile = mkOption {
      type = types.nullOr types.path;
      default = null;
      example = lib.literalExpression "./policy.toml";
      description = ''
        The policy as a file, instead of {option}`services.narwarden.settings.policy`. It becomes
        part of the system, and is checked when that is built.
      '';
    };

    observeUntil = mkOption {
      type = types.nullOr rules.moment;
      default = null;
      example = "2027-01-31";
      description = ''
        Let denials be written down and not hold until then, and hold from then on: sets
        {option}`services.narwarden.settings.policy` `.mode` and `.observe-until`. Unsaid, the policy's
        own `mode` counts.
      '';
    };

    bootCheck.enable = mkOption {
      type = types.bool;
      default = true;
      description = ''
        Read the booted system once more after each boot, apart from the daemon and by the rules that
        it brought in {file}`/etc/narwarden`. A system that fails leaves the unit
        {file}`narwarden-boot-check.service` failed. Nothing waits for it.
      '';
    };

    scrub = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = ''
          Read the running system again from time to time, to find what was altered on disk since its
          verdict. One that fails leaves the unit {file}`narwarden-scrub.service` failed.
        '';
      };
      interval = mkOption {
        type = types.str;
        default = "weekly";
        description = "When, as in {manpage}`systemd.time(7)`; up to six hours later, so that a fleet does not read all at once.";
      };
    };

    provenance = {
      flakeLock = mkOption {
        type = types.nullOr types.path;
        default = null;
        example = lib.literalExpression "./flake.lock";
        description = ''
          The lock file that the configuration was evaluated with. Its SHA-256 goes into
          {file}`/etc/narwarden/provenance.json` and, as `io.narwarden.v1`, into the bootspec.
        '';
      };
      revision = mkOption {
        type = types.nullOr types.str;
        default = config.system.configurationRevision;
        defaultText = lib.literalExpression "config.system.configurationRevision";
        description = "The revision of the configuration, for the same two places.";
      };
    };
  };

  config = lib.mkIf (cfg.enable && cfg.observeUntil != null) {
    services.narwarden.settings.policy = {
      mode = lib.mkDefault "observe";
      observe-until = lib.mkDefault cfg.observeUntil;
    };
  };
}
