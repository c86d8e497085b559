# Trust set and policy: as files, and asked of the program itself before anything is deployed.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.narwarden;
  toml = import ./toml.nix { inherit lib; };

  file =
    name: given: settings:
    if given != null then
      # A path of the configuration becomes one of the store.
      "${given}"
    else if settings != null then
      pkgs.writeText name (toml.render settings)
    else
      null;

  trust = file "trust.toml" cfg.trustFile cfg.settings.trust;
  policy = file "policy.toml" cfg.policyFile cfg.settings.policy;

  # In the store, files belong to nobody that the sandbox of a build knows, and the program refuses
  # what others could have written. Copies belong to the builder, whose build this is.
  checked =
    pkgs.runCommand "narwarden-rules"
      {
        inherit trust policy;
        nativeBuildInputs = [ cfg.checkPackage ];
      }
      ''
        mkdir "$out" checked
        cp "$trust" checked/trust.toml
        cp "$policy" checked/policy.toml
        chmod 0444 checked/*.toml

        refused() {
          echo "services.narwarden: $1 is refused, and so is this build" >&2
          exit 1
        }
        cd checked
        narwarden trust check trust.toml ||
          refused "the trust set (settings.trust or trustFile)"
        narwarden policy check policy.toml --trust trust.toml ||
          refused "the policy (settings.policy or policyFile)"
        cp trust.toml policy.toml "$out"
      '';

  inStore = path: path == null || lib.hasPrefix "${builtins.storeDir}/" "${path}";
in
{
  options.services.narwarden.rules = lib.mkOption {
    type = lib.types.nullOr lib.types.package;
    internal = true;
    readOnly = true;
    description = "Both files, checked.";
  };

  config = lib.mkMerge [
    { services.narwarden.rules = if trust != null && policy != null then checked else null; }
    (lib.mkIf cfg.enable {
      assertions = [
        {
          assertion = cfg.settings.trust == null || cfg.trustFile == null;
          message = "services.narwarden: settings.trust and trustFile exclude each other; one is the trust set.";
        }
        {
          assertion = cfg.settings.policy == null || cfg.policyFile == null;
          message = "services.narwarden: settings.policy (which observeUntil sets too) and policyFile exclude each other; one is the policy.";
        }
        {
          assertion = (trust == null) == (policy == null);
          message = "services.narwarden: a trust set and a policy need each other: give both, or neither and put them into /etc/narwarden by hand.";
        }
        {
          assertion = inStore cfg.trustFile && inStore cfg.policyFile;
          message = "services.narwarden: trustFile and policyFile are checked when the system is built, so they must be files of the configuration (./trust.toml), not strings that name a place on the host.";
        }
      ];

      environment.etc = lib.mkIf (cfg.rules != null) {
        "narwarden/trust.toml".source = "${cfg.rules}/trust.toml";
        "narwarden/policy.toml".source = "${cfg.rules}/policy.toml";
      };
    })
  ];
}
