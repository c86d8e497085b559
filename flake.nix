{
  description = "Keeps a NixOS host from activating what was not signed";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs }:
    let
      inherit (nixpkgs) lib;

      # fanotify answers by file handle on both; nothing else was ever tried.
      systems = [
        "x86_64-linux"
        "aarch64-linux"
      ];
      each =
        outputs:
        lib.genAttrs systems (
          system:
          outputs {
            inherit system;
            pkgs = nixpkgs.legacyPackages.${system};
            packages = self.packages.${system};
          }
        );
    in
    {
      packages = each (
        { pkgs, ... }:
        let
          all = import ./. { inherit pkgs; };
        in
        {
          inherit (all) narwarden narwarden-cli narwarden-static;
          default = all.narwarden;
        }
      );

      overlays.default = import ./packaging/overlay.nix;

      nixosModules = {
        default = self.nixosModules.narwarden;
        # With the programs as this flake builds them. `narwarden.package = pkgs.narwarden` and the
        # overlay take the system's own nixpkgs for them.
        narwarden =
          { lib, pkgs, ... }:
          {
            # However often it is imported, it is one module.
            key = "narwarden#nixosModules.narwarden";
            _file = "narwarden#nixosModules.narwarden";
            imports = [ ./nixos-module ];
            services.narwarden.package =
              lib.mkDefault
                self.packages.${pkgs.stdenv.hostPlatform.system}.narwarden;
          };
      };

      apps = each (
        { packages, ... }:
        rec {
          default = narwarden;
          narwarden = {
            type = "app";
            program = lib.getExe packages.narwarden;
            meta.description = "Judges NixOS generations";
          };
        }
      );

      devShells = each (
        { pkgs, ... }:
        {
          default = import ./packaging/shell.nix { inherit pkgs; };
        }
      );

      formatter = each ({ pkgs, ... }: pkgs.nixfmt-tree);

      checks = each (
        {
          pkgs,
          packages,
          system,
        }:
        let
          # The package's own build, with another command in place of cargo build.
          cargo =
            name: inputs: command:
            packages.narwarden.overrideAttrs (old: {
              pname = "narwarden-${name}";
              nativeBuildInputs = old.nativeBuildInputs ++ inputs;
              buildPhase = command;
              doCheck = false;
              installPhase = "touch $out";
              # These look for what was installed.
              postInstall = "";
              dontFixup = true;
            });
        in
        {
          inherit (packages) narwarden narwarden-cli narwarden-static;
          clippy = cargo "clippy" [ pkgs.clippy ] ''
            cargo clippy --workspace --all-targets --offline -- -D warnings
          '';
          fmt = cargo "fmt" [ pkgs.rustfmt ] "cargo fmt --all --check";
          nixfmt = pkgs.runCommand "narwarden-nixfmt" { nativeBuildInputs = [ pkgs.nixfmt ]; } ''
            find ${
              lib.fileset.toSource {
                root = ./.;
                fileset = lib.fileset.fileFilter (file: file.hasExt "nix") ./.;
              }
            } -name '*.nix' -exec nixfmt --check {} +
            touch $out
          '';
          module = import ./tests/module/nixpkgs.nix {
            inherit lib pkgs;
            module = self.nixosModules.default;
          };
        }
        // lib.optionalAttrs (system == "x86_64-linux") (
          lib.mapAttrs' (name: lib.nameValuePair "vm-${name}") (
            import ./tests/nixos {
              inherit pkgs;
              narwarden = packages.narwarden;
            }
          )
        )
      );
    };
}
