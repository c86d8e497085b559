# Files, provenance, and all that undermines it.
{
  services.narwarden = {
    enable = true;
    trustFile = ./files/trust.toml;
    policyFile = ./files/policy.toml;
    provenance.flakeLock = ../../../flake.lock;
    provenance.revision = "0123456789abcdef";
    scrub.interval = "daily";
    bootCheck.enable = false;
  };
  system.autoUpgrade.enable = true;
  nix.settings = {
    require-sigs = false;
    trusted-users = [
      "root"
      "@wheel"
    ];
    accept-flake-config = true;
    secret-key-files = [ "/etc/key.secret" ];
  };
}
