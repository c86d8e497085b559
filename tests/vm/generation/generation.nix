# Generations in the shape of NixOS's, as plain derivations without nixpkgs. `programs` holds what was built outside of
# Nix: narwardend, narwarden, a second narwardend, and the stand-in for switch-to-configuration; `files` the trust set,
# the policy and the unit.
{ programs, files, scripts ? ./scripts }:
let
  system = "x86_64-linux";
  mk = name: script: environment: derivation ({
    inherit name system;
    builder = "/bin/sh";
    args = [ "-euc" ("PATH=/usr/bin:/bin\n" + script) ];
    allowSubstitutes = false;
    preferLocalBuild = true;
  } // environment);
  path = name: builtins.path { path = programs + "/${name}"; inherit name; };

  # One for all generations.
  switch = mk "switch-to-configuration-0.1.0" ''
    mkdir -p $out/bin
    cp ${path "switch-to-configuration"} $out/bin/switch-to-configuration
  '' { };
  installer = mk "install-boot-menu.sh" "cp ${scripts + "/install-boot-menu"} $out; chmod +x $out" { };
  checks = mk "pre-switch-checks" "cp ${scripts + "/pre-switch-checks"} $out; chmod +x $out" { };
  agent = daemon: mk "narwarden-0.1.0" ''
    mkdir -p $out/bin
    cp ${path daemon} $out/bin/narwardend
    cp ${path "narwarden"} $out/bin/narwarden
  '' { };

  units = label: daemon: edit: mk "system-units" ''
    mkdir -p $out/multi-user.target.wants $out/basic.target.wants
    cat >$out/demo.service <<TEXT
    [Unit]
    Description=What generation ${label} brings
    [Service]
    Type=exec
    Environment=GENERATION=${label}
    ExecStart=/usr/bin/sleep infinity
    TEXT
    ln -s ../demo.service $out/multi-user.target.wants/demo.service
    printf '[Unit]\nDescription=Units to be activated again\n' >$out/sysinit-reactivation.target
    ${if daemon == null then "" else ''
      sed 's|^ExecStart=.*|ExecStart=${daemon}/bin/narwardend|' ${files + "/narwardend.service"} >$out/narwardend.service
      ln -s ../narwardend.service $out/basic.target.wants/narwardend.service
    ''}
    ${edit}
  '' { };

  generation =
    { label, daemon ? "narwardend", edit ? "", interface ? "systemd 2", specialisations ? { }
    , policy ? "policy.toml", trust ? "trust.toml", more ? "" }:
    let
      package = if daemon == null then null else agent daemon;
      etc = mk "etc" ''
        mkdir -p $out/etc/systemd $out/etc/narwarden
        ln -s ${units label package edit} $out/etc/systemd/system
        cp ${files + "/${trust}"} $out/etc/narwarden/trust.toml
        cp ${files + "/${policy}"} $out/etc/narwarden/policy.toml
        printf '26.05.${label}\n' >$out/etc/generation
      '' { };
      sw = mk "system-path" ''
        mkdir -p $out/bin
        ${if package == null then "" else "ln -s ${package}/bin/* $out/bin/"}
      '' { };
    in mk "nixos-system-vm-26.05.${label}" ''
      mkdir -p $out/bin $out/specialisation
      ln -s ${etc}/etc $out/etc
      ln -s ${sw} $out/sw
      printf '${interface}' >$out/init-interface-version
      printf '26.05.${label}' >$out/nixos-version
      printf ${system} >$out/system
      : >$out/extra-dependencies
      printf '{"org.nixos.bootspec.v1":{"label":"vm 26.05.${label}","system":"${system}","toplevel":"%s","init":"%s/init"},"org.nixos.specialisation.v1":{}}\n' \
        $out $out >$out/boot.json
      ${builtins.concatStringsSep "\n" (builtins.attrValues
        (builtins.mapAttrs (name: toplevel: "ln -s ${toplevel} $out/specialisation/${name}") specialisations))}
      for script in activate dry-activate init; do
        sed "s|@out@|$out|g" ${scripts}/$script >$out/$script
      done
      ln -s ${switch}/bin/switch-to-configuration $out/bin/.switch-to-configuration-wrapped
      sed -e "s|@out@|$out|g" -e 's|@installer@|${installer}|g' -e 's|@checks@|${checks}|g' \
        ${scripts}/switch-to-configuration >$out/bin/switch-to-configuration
      chmod +x $out/activate $out/dry-activate $out/init $out/bin/switch-to-configuration
      ${more}
    '' { };

  # deploy-rs activates a path of its own that links to the generation.
  wrapped = toplevel: mk "activatable-${toplevel.name}" ''
    mkdir -p $out
    ln -s ${toplevel}/* $out/
    printf '#!/bin/sh\nset -e\ncd /tmp\n$PROFILE/bin/switch-to-configuration switch\n' >$out/deploy-rs-activate
    chmod +x $out/deploy-rs-activate
  '' { };
in rec {
  # What runs at first, and two that may follow it.
  base = generation { label = "base"; };
  good = generation { label = "good"; };
  better = generation { label = "better"; };
  # Comes from the cache while a scenario runs: nobody knows it before.
  fresh = generation { label = "fresh"; };
  special = generation { label = "special"; specialisations.quiet = generation { label = "quiet"; }; };
  # Nobody signs these.
  evil = generation { label = "evil"; };
  worse = generation { label = "worse"; };
  evil-special = generation { label = "evil-special"; specialisations.quiet = generation { label = "evil-quiet"; }; };
  evil-fresh = generation { label = "evil-fresh"; };
  # Signed, and they change the daemon.
  upgraded = generation { label = "upgraded"; daemon = "narwardend-next"; };
  without = generation { label = "without"; daemon = null; };
  masked = generation { label = "masked"; edit = "ln -sf /dev/null $out/narwardend.service"; };
  weakened = generation {
    label = "weakened";
    edit = "sed -i -e '/^X-/d' -e '/^RefuseManualStop/d' -e 's/^Restart=always/Restart=no/' $out/narwardend.service";
  };
  # Signed, as deploy-rs wants it; and not.
  wrapped-good = wrapped good;
  wrapped-evil = wrapped evil;
}
