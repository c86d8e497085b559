# What the flake and default.nix have, with a nixpkgs that builds nothing.
let
  shim = import ./lib.nix;
  lib = shim // {
    genAttrs =
      names: value: builtins.listToAttrs (map (name: lib.nameValuePair name (value name)) names);
    nameValuePair = name: value: { inherit name value; };
    mapAttrs' = f: set: builtins.listToAttrs (shim.mapAttrsToList f set);
    optionals = condition: values: if condition then values else [ ];
    optionalString = condition: text: if condition then text else "";
    importTOML = file: builtins.fromTOML (builtins.readFile file);
    licenses = {
      mit = "MIT";
      asl20 = "Apache-2.0";
    };
    platforms.linux = [ ];
    fileset = {
      unions = paths: map (path: assert builtins.pathExists path; path) paths;
      fileFilter = _: path: [ path ];
      toSource = { root, fileset }: "${toString root}:${toString (builtins.length fileset)}";
    };
  };
  derivation =
    args:
    args
    // {
      type = "derivation";
      outPath = "/nix/store/${args.pname or args.name}";
    };
  buildRustPackage =
    args:
    derivation args
    // {
      overrideAttrs = change: derivation (args // change args);
    };
  pkgs = rec {
    inherit lib;
    stdenv = {
      buildPlatform.canExecute = _: true;
      hostPlatform.system = "x86_64-linux";
    };
    rustPlatform = { inherit buildRustPackage; };
    callPackage =
      file: overrides:
      let
        package = import file;
      in
      package (builtins.intersectAttrs (builtins.functionArgs package) pkgs // overrides);
    pkgsStatic = pkgs;
    runCommand = name: _: script: derivation { inherit name script; };
    testers.runNixOSTest = test: derivation { name = "vm"; };
    mkShell = derivation;
    name = "nixpkgs";
    nixfmt-tree = nixfmt;
    nixfmt = derivation { name = "nixfmt"; };
    installShellFiles = nixfmt;
    acl = nixfmt;
    attr = nixfmt;
    cargo = nixfmt;
    cargo-deny = nixfmt;
    clippy = nixfmt;
    nix = nixfmt;
    python3 = nixfmt;
    rustc = nixfmt;
    rustfmt = nixfmt;
    sqlite = nixfmt;
  };
  nixpkgs = {
    inherit lib;
    legacyPackages = {
      x86_64-linux = pkgs;
      aarch64-linux = pkgs;
    };
  };
  self = (import ../../flake.nix).outputs { inherit self nixpkgs; };
  names = builtins.mapAttrs (_: builtins.attrNames);
  others = import ../../default.nix { inherit pkgs; };
in
{
  flake = names (
    builtins.removeAttrs self [
      "overlays"
      "nixosModules"
      "formatter"
    ]
    // {
      overlays = self.overlays;
      nixosModules = self.nixosModules;
    }
    // builtins.mapAttrs (_: systems: systems.x86_64-linux) {
      inherit (self)
        packages
        apps
        devShells
        checks
        ;
    }
  );
  default = builtins.attrNames others;
  package = {
    inherit (self.packages.x86_64-linux.default) pname version cargoBuildFlags;
    inherit (self.packages.x86_64-linux.default.meta) mainProgram;
  };
  # Of each check: what it is called, which forces it as far as that.
  checks = builtins.mapAttrs (_: check: check.pname or check.name) (
    builtins.removeAttrs self.checks.x86_64-linux [ "module" ]
  );
  overlay = builtins.attrNames (self.overlays.default pkgs pkgs);
  static = others.narwarden-static.pname;
  program = self.apps.x86_64-linux.default.program;
}
