# Evaluates the module: `run` a configuration to what it makes of it, `options` for the page.
#
#   NIXPKGS_LIB        a nixpkgs' lib, instead of lib.nix
#   NARWARDEN_PACKAGE  a directory with bin/narwarden, for builds that run it
let
  given = builtins.getEnv "NIXPKGS_LIB";
  lib = if given == "" then import ./lib.nix else import (/. + given);
  unitText = import ./unit-text.nix { inherit lib; };

  # Real derivations, of what every Debian has: only what is built by the tests is ever built.
  shell =
    name: environment: script:
    derivation (
      builtins.removeAttrs environment [ "nativeBuildInputs" ]
      // {
        inherit name script;
        system = builtins.currentSystem;
        builder = "/bin/bash";
        args = [
          "-euc"
          ''source "$scriptPath"''
        ];
        passAsFile = [ "script" ] ++ environment.passAsFile or [ ];
        PATH = lib.concatStringsSep ":" (
          map (package: "${package}/bin") environment.nativeBuildInputs or [ ]
          ++ [
            "/usr/bin"
            "/bin"
          ]
        );
      }
    )
    // {
      inherit script;
    };

  pkgs = {
    narwarden = {
      type = "derivation";
      name = "narwarden";
      version = "0";
      meta.mainProgram = "narwarden";
      outPath =
        let
          real = builtins.getEnv "NARWARDEN_PACKAGE";
        in
        if real == "" then "/nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-narwarden-0" else real;
    };
    # What tests on other things have installed.
    jq = pkgs.narwarden;
    writeText =
      name: text:
      shell name {
        inherit text;
        passAsFile = [ "text" ];
      } ''cp "$textPath" "$out"''
      // {
        inherit text;
      };
    runCommand = shell;
  };

  evaluate =
    modules:
    lib.evalModules {
      modules = [
        ./nixos.nix
        ../../nixos-module
        {
          systemd.package = "/nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-systemd";
        }
      ]
      ++ modules;
      specialArgs = { inherit pkgs; };
    };

  service =
    name: unit:
    unitText "Service" unit (unit.serviceConfig) {
      unit = lib.optionalAttrs (unit.reloadTriggers != [ ]) {
        X-Reload-Triggers = lib.concatStringsSep " " (map toString unit.reloadTriggers);
      };
      service =
        lib.optionalAttrs unit.reloadIfChanged { X-ReloadIfChanged = true; }
        // lib.optionalAttrs (!unit.restartIfChanged) { X-RestartIfChanged = false; }
        // lib.optionalAttrs (unit.environment != { }) {
          Environment = lib.mapAttrsToList (key: value: ''"${key}=${value}"'') unit.environment;
        };
    };
in
{
  package = pkgs.narwarden;

  run =
    module:
    let
      inherit (evaluate [ module ]) config;
      cfg = config.services.narwarden;
      text = file: if file == null then null else file.text or "${file}";
    in
    {
      failed = map (it: it.message) (lib.filter (it: !it.assertion) config.assertions);
      inherit (config) warnings;
      rules = if cfg.rules == null then null else "${cfg.rules}";
      trust = text (cfg.rules.trust or null);
      policy = text (cfg.rules.policy or null);
      etc = builtins.mapAttrs (_: it: it.source.text or "${it.source}") config.environment.etc;
      units =
        lib.mapAttrsToList (name: unit: {
          name = "${name}.service";
          text = service name unit;
        }) config.systemd.services
        ++ lib.mapAttrsToList (name: unit: {
          name = "${name}.timer";
          text = unitText "Timer" unit unit.timerConfig { };
        }) config.systemd.timers;
      packages = map toString config.environment.systemPackages;
      preSwitch = config.system.preSwitchChecks;
      bootspec = config.boot.bootspec.extensions;
    };

  # What the build of a system builds, of ours.
  rules = module: (evaluate [ module ]).config.services.narwarden.rules;

  options =
    let
      plain =
        value: if builtins.isAttrs value && value ? _type then value.text else builtins.toJSON value;
      walk =
        path: options:
        builtins.concatLists (
          lib.mapAttrsToList (
            name: option:
            let
              here = path ++ [ name ];
            in
            if option._type or "" != "option" then
              walk here option
            else if option.internal or false then
              [ ]
            else
              [
                {
                  name = lib.concatStringsSep "." here;
                  type = option.type.description;
                  default =
                    if option ? defaultText then
                      plain option.defaultText
                    else if option ? default then
                      plain option.default
                    else
                      null;
                  inherit (option) description;
                }
              ]
              ++ walk here option.type.subOptions
          ) options
        );
    in
    walk [ ] { inherit ((evaluate [ { } ]).options) services; };
}
