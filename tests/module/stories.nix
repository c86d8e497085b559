# What can be said about tests/nixos without nixpkgs: their scripts, and what their machines have configured.
let
  lib = import ./lib.nix;
  eval = import ./eval.nix;
  next = "/nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-next";

  # default.nix, with a test that is told and not built.
  stories = import ../nixos {
    pkgs.testers.runNixOSTest = test: test;
    narwarden = eval.package;
  };

  tell =
    { imports, story }:
    let
      file = import (builtins.elemAt imports 1);
      hostPkgs.writeText = name: _: "/nix/store/eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee-${name}";
      given = story // {
        machine = file.story.machine or { };
        next = file.story.next or { };
        inherit (file.story) script;
      };
      inherit
        (import (builtins.head imports) {
          inherit lib hostPkgs;
          config.story = given;
        })
        config
        ;
      nodes.next.system.build.toplevel = next;
      node = module: {
        imports = [
          { freeformType = lib.types.attrsOf lib.types.raw; }
          (if builtins.isFunction module then module { inherit nodes; } else module)
        ];
      };
    in
    {
      inherit (file) name;
      script = config.testScript { inherit nodes; };
      machine = node config.nodes.machine;
      next = node config.nodes.next;
    };
in
builtins.mapAttrs (_: tell) stories
