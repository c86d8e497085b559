# What was refused gets no boot entry: it is taken out of its profile, and kept for whoever looks.
{
  name = "narwarden-boot-entries";

  story.script = ''
    sign(running)
    # So that there is an admitted generation to go back to.
    admitted(running, "dry-activate")
    machine.succeed(f"nix-env --profile /nix/var/nix/profiles/system --set {new}")
    event("quarantined")
    assert machine.succeed("readlink -f /nix/var/nix/profiles/system").strip() != new
    assert new in machine.succeed("narwarden quarantine list")

    with subtest("the next good switch writes none either"):
        machine.wait_until_succeeds(activate("/nix/var/nix/profiles/system", "boot"), timeout=120)
        machine.fail(f"grep --recursive {new} /boot/loader/entries")

    with subtest("signed and released, it does"):
        sign(new)
        name = machine.succeed("narwarden quarantine list --json | jq --raw-output '.. | .name? // empty' | head -n 1").strip()
        machine.succeed(f"narwarden quarantine release {name}")
        admitted(new, "boot")
        machine.succeed(f"grep --recursive {new} /boot/loader/entries")

    with subtest("and boots"):
        machine.reboot()
        machine.wait_for_unit("narwardend.service")
        machine.succeed("test -e /etc/next")
        machine.wait_until_succeeds("systemctl show --property ActiveState narwarden-boot-check.service | grep active")
  '';
}
