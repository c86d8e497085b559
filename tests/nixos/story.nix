# What all stories have in common: a guarded machine with a store on a disk of its own, another
# generation in it that is not installed, and words for what happens to them.
{
  config,
  hostPkgs,
  lib,
  ...
}:
let
  inherit (lib) mkOption types;
  story = config.story;
  words = builtins.readFile ./words.py;

  guarded =
    { pkgs, ... }:
    {
      imports = [ ../../nixos-module ];

      services.narwarden = {
        enable = lib.mkDefault true;
        package = story.narwarden;
        settings = {
          trust.keys.test.public = builtins.readFile ./key.public;
          policy = {
            mode = lib.mkDefault "enforce";
            require.default = "test";
          };
        };
      };

      # Both generations are of one host.
      networking.hostName = lib.mkForce "machine";
      nix.settings.experimental-features = [ "nix-command" ];
      system.switch.enable = true;

      # A store on ext4 below a boot loader, as on a real host: no 9p, no overlay.
      virtualisation = {
        useBootLoader = true;
        useEFIBoot = true;
        memorySize = 2048;
      };
      boot.loader.systemd-boot.enable = true;
      boot.loader.timeout = 0;
      environment.systemPackages = [ pkgs.jq ];
    };
in
{
  options.story = {
    narwarden = mkOption {
      type = types.package;
      description = "What guards the machine.";
    };
    machine = mkOption {
      type = types.deferredModule;
      default = { };
      description = "What the machine has beside what all have.";
    };
    next = mkOption {
      type = types.deferredModule;
      default = { };
      description = "What the next generation has beside what all have.";
    };
    script = mkOption {
      type = types.lines;
      description = "What happens, after `words.py`; `new` is the next generation's store path.";
    };
  };

  config = {
    nodes.machine =
      { nodes, ... }:
      {
        imports = [
          guarded
          story.machine
        ];
        # In the store and its database, and not in the machine's closure.
        virtualisation.additionalPaths = [ nodes.next.system.build.toplevel ];
      };

    # Never started.
    nodes.next = {
      imports = [
        guarded
        story.next
      ];
      environment.etc."next".text = "this is the next generation";
    };

    testScript =
      { nodes, ... }:
      ''
        new = "${nodes.next.system.build.toplevel}"
        key = "${hostPkgs.writeText "key.secret" (builtins.readFile ./key.secret)}"
      ''
      + words
      + story.script;
  };
}
