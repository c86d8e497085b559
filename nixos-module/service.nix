# The units, and what people type.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.narwarden;
  unit = import ./unit.nix { inherit lib; };
  narwarden = lib.getExe cfg.package;

  # For what only reads, and reports by its exit code.
  reader = {
    Nice = 19;
    IOSchedulingClass = "idle";
    ProtectSystem = "strict";
    # SQLite makes -shm to read a database in WAL mode.
    ReadWritePaths = "/nix/var/nix/db";
    ProtectHome = true;
    PrivateTmp = true;
    PrivateDevices = true;
    PrivateNetwork = true;
    RestrictAddressFamilies = "AF_UNIX";
    CapabilityBoundingSet = "CAP_DAC_READ_SEARCH";
    NoNewPrivileges = true;
    ProtectKernelTunables = true;
    ProtectKernelModules = true;
    ProtectKernelLogs = true;
    ProtectControlGroups = true;
    ProtectClock = true;
    ProtectHostname = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    RestrictNamespaces = true;
    RestrictRealtime = true;
    # Not RestrictSUIDSGID: it refuses openat2(2), by which every file of the store is opened.
    SystemCallArchitectures = "native";
    SystemCallFilter = "@system-service";
  };

  # journalctl compiles one directory. systemd's own texts belong into it too.
  catalog = pkgs.runCommand "narwarden-journal-catalog" { } ''
    mkdir "$out"
    cp ${config.systemd.package}/lib/systemd/catalog/*.catalog "$out"
    cp ${cfg.package}/lib/systemd/catalog/narwarden.catalog "$out"
  '';
in
{
  config = lib.mkIf cfg.enable {
    # Also where a reload looks for another version of the daemon: /run/current-system/sw/bin.
    environment.systemPackages = [ cfg.package ];

    systemd.services.narwardend = {
      inherit (unit)
        description
        documentation
        wants
        after
        before
        conflicts
        unitConfig
        reloadIfChanged
        wantedBy
        ;
      serviceConfig = unit.serviceConfig // {
        ExecStart = "${cfg.package}/bin/narwardend";
      };
      # It runs no other program; a new coreutils is no reason to reload.
      enableDefaultPath = false;
      # A switch that brings other rules has the daemon announce them.
      reloadTriggers = lib.optional (cfg.rules != null) cfg.rules;
    };

    systemd.services.narwarden-boot-check = lib.mkIf cfg.bootCheck.enable {
      description = "Narwarden: the booted system, read once more";
      documentation = [ "man:narwarden-verify(1)" ];
      wantedBy = [ "multi-user.target" ];
      after = [ "narwardend.service" ];
      unitConfig.ConditionPathExists = "/etc/narwarden/trust.toml";
      # A report on a boot, not on each switch.
      restartIfChanged = false;
      serviceConfig = reader // {
        # Not oneshot: multi-user.target would wait.
        Type = "exec";
        RemainAfterExit = true;
        ExecStart = "${narwarden} verify --quiet --full /run/booted-system";
      };
    };

    systemd.services.narwarden-scrub = lib.mkIf (cfg.scrub.startAt != null) {
      description = "Narwarden: has the daemon hash everything again";
      documentation = [ "man:narwarden-scrub(1)" ];
      after = [ "narwardend.service" ];
      restartIfChanged = false;
      # It only asks: the daemon does the work, when nothing waits for it.
      serviceConfig = reader // {
        Type = "oneshot";
        ExecStart = "${narwarden} scrub";
      };
    };

    systemd.timers.narwarden-scrub = lib.mkIf (cfg.scrub.startAt != null) {
      description = "Narwarden: everything is hashed again";
      wantedBy = [ "timers.target" ];
      timerConfig = {
        OnCalendar = cfg.scrub.startAt;
        RandomizedDelaySec = "1h";
        Persistent = true;
      };
    };

    systemd.services.narwarden-journal-catalog = {
      description = "Narwarden: what journalctl -x says about its events";
      wantedBy = [ "multi-user.target" ];
      after = [ "systemd-journal-catalog-update.service" ];
      environment.SYSTEMD_CATALOG_SOURCES = "${catalog}";
      serviceConfig = {
        Type = "oneshot";
        RemainAfterExit = true;
        ExecStart = "${config.systemd.package}/bin/journalctl --update-catalog";
      };
    };

    # A courtesy to whoever switches while denials do not hold: the script is the new generation's own,
    # which can leave it out. What refuses is the kernel, before this could run.
    system.preSwitchChecks.narwarden = ''
      if [ -e /etc/narwarden/trust.toml ]; then
        code=0
        said=$(${narwarden} verify --quiet --no-contents "$1" 2>&1) || code=$?
        if [ "$code" = 1 ]; then
          printf '%s\n' "$said"
          echo "narwarden: $2 goes on, since nothing is enforced here; where it is, this generation is refused"
        fi
      fi
    '';
  };
}
