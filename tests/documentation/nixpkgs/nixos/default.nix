# A small system, for the commands that the documentation shows: `<nixpkgs/nixos>` of its machines. Its entry points
# really run, as those of NixOS do: a wrapper in the toplevel that leads to a program that all generations share.
{
  configuration ? { },
  system ? builtins.currentSystem,
  ...
}:
let
  # What is different from one generation to the next.
  greeting = configuration.greeting or "hello";

  make =
    name: script: more:
    derivation (
      {
        inherit name system;
        builder = "/bin/sh";
        PATH = "/bin:/usr/bin";
        args = [
          "-euc"
          script
        ];
        preferLocalBuild = true;
      }
      // more
    );

  switchToConfiguration = make "switch-to-configuration-0.1.0" ''
    mkdir -p $out/bin
    cat >$out/bin/switch-to-configuration <<'TEXT'
    #!/bin/sh
    set -eu
    case $1 in
      switch | test) ;;
      *) exit 0 ;;
    esac
    "$TOPLEVEL/activate"
    TEXT
    chmod +x $out/bin/switch-to-configuration
  '' { };

  hello = make "hello-2.12" ''
    mkdir -p $out/bin
    printf '#!/bin/sh\necho %s\n' "$greeting" >$out/bin/hello
    chmod +x $out/bin/hello
  '' { inherit greeting; };

  systemPath = make "system-path" ''
    mkdir -p $out/bin
    ln -s $hello/bin/hello $out/bin/hello
    # Where the daemon looks for the programs that may read what is not admitted.
    ln -s /usr/bin/nix $out/bin/nix
    ln -s /run/documentation/bin/narwarden $out/bin/narwarden
  '' { inherit hello; };
in
{
  system = make "nixos-system-web-26.05" ''
    mkdir -p $out/bin
    printf 26.05 >$out/nixos-version
    ln -s $systemPath $out/sw
    printf '#!/bin/sh\necho "activating the configuration..."\nln -sfn %s /run/current-system\n' $out >$out/activate
    printf '#!/bin/sh\nexport TOPLEVEL=%s\nexec %s/bin/switch-to-configuration "$@"\n' \
      $out $switchToConfiguration >$out/bin/switch-to-configuration
    chmod +x $out/activate $out/bin/switch-to-configuration
  '' { inherit systemPath switchToConfiguration; };
}
