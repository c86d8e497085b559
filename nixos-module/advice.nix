# What undermines a host that is guarded, or keeps it from being guarded at all.
{
  config,
  lib,
  ...
}:
let
  cfg = config.services.narwarden;
  nix = config.nix.settings;

  builders =
    lib.optional (config.system.autoUpgrade.enable or false) "system.autoUpgrade"
    ++ lib.optional (config.services.comin.enable or false) "services.comin";
  trusted = lib.filter (name: name != "root") (nix.trusted-users or [ ]);
in
{
  config = lib.mkIf cfg.enable {
    assertions = [
      {
        assertion = !(config.boot.isContainer or false);
        message = "services.narwarden guards a store, and a container's is its host's: enable it there, which guards the container's activations too.";
      }
      {
        assertion = lib.versionAtLeast config.boot.kernelPackages.kernel.version "6.0";
        message = "services.narwarden needs Linux 6.0, for permission events with pidfds; this is ${config.boot.kernelPackages.kernel.version}.";
      }
    ];

    warnings =
      lib.optional (cfg.rules == null) ''
        services.narwarden: no trust set and no policy are configured. Until there are both in
        /etc/narwarden and `narwarden enroll --pin` was run, the daemon admits nothing.
      ''
      ++ lib.optional (!(nix.require-sigs or true)) ''
        services.narwarden: nix.settings.require-sigs is false, so Nix takes in what nobody signed.
        It is refused when it is activated, and has by then been on the disk and may have been run.
      ''
      ++ lib.optional (builders != [ ]) ''
        services.narwarden: ${lib.concatStringsSep " and " builders} builds generations where they run. Nobody has
        signed them, so they are refused unless a local key is trusted, which vouches for nothing:
        whoever takes the host has the key. Build elsewhere, sign there, and deploy by store path.
      ''
      ++ lib.optional ((nix.secret-key-files or [ ]) != [ ]) ''
        services.narwarden: nix.settings.secret-key-files signs what this host builds. Do not put that
        key into the host's own trust set: whoever takes the host has the key.
      ''
      ++ lib.optional (trusted != [ ]) ''
        services.narwarden: nix.settings.trusted-users lists ${lib.concatStringsSep ", " trusted}. They can have Nix take in
        paths that nobody signed, and so fill the store with what will be refused, as root could.
      ''
      ++ lib.optional (nix.accept-flake-config or false) ''
        services.narwarden: nix.settings.accept-flake-config lets any flake that is evaluated name its
        own caches and keys. The host's trust set does not change by that; what is on its disk does.
      '';
  };
}
