# `narwardend` and `narwarden`; or `narwarden` alone, for who builds and signs and guards nothing.
{
  lib,
  stdenv,
  rustPlatform,
  installShellFiles,
  withDaemon ? true,
}:
let
  workspace = (lib.importTOML ../Cargo.toml).workspace.package;
in
rustPlatform.buildRustPackage {
  pname = if withDaemon then "narwarden" else "narwarden-cli";
  inherit (workspace) version;

  # What cargo reads, and no more: a change to the documentation is no other program.
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.lock
      ../Cargo.toml
      ../agent
      ../clippy.toml
      ../packaging/journal.catalog
      ../packaging/narwardend.service
      ../packaging/narwardend.service.d
      ../policy-examples
      ../rustfmt.toml
      ../tests/vectors
    ];
  };

  cargoLock.lockFile = ../Cargo.lock;

  nativeBuildInputs = [ installShellFiles ];

  cargoBuildFlags = [
    "-p"
    "narwarden"
  ]
  ++ lib.optionals withDaemon [
    "-p"
    "narwardend"
  ];

  # The crate that decides, and nothing that wants a Nix, a kernel's permission or root. The rest is
  # run by tests/run.
  cargoTestFlags = [
    "-p"
    "narwarden-core"
    "--lib"
  ];

  # Both are written by the program itself.
  postInstall =
    lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
      "$out/bin/narwarden" man man
      installManPage man/*
      for shell in bash fish zsh; do
        "$out/bin/narwarden" completions "$shell" > "narwarden.$shell"
      done
      installShellCompletion --cmd narwarden \
        --bash narwarden.bash --fish narwarden.fish --zsh narwarden.zsh
    ''
    + lib.optionalString withDaemon ''
      install -Dm444 packaging/journal.catalog "$out/lib/systemd/catalog/narwarden.catalog"
    '';

  meta = {
    description = "Keeps a NixOS host from activating what was not signed";
    longDescription = ''
      Reads every store path of a generation, and has the kernel refuse the activation of one that
      the pinned keys do not vouch for.
    '';
    license = [
      lib.licenses.mit
      lib.licenses.asl20
    ];
    mainProgram = "narwarden";
    maintainers = [ ];
    platforms = lib.platforms.linux;
  };
}
