# One path of hundreds has no signature. Neither another action, nor the entry point itself, nor
# NixOS's way around its own checks runs the generation.
{
  name = "narwarden-unsigned-leaf";

  story.script = ''
    sign(running)
    leaf = machine.succeed(f"readlink -f {next}/etc/next").strip()
    machine.succeed(f"nix store sign --key-file /root/key.secret $(nix-store --query --requisites {next} | grep -v {leaf})")

    for action in ["check", "dry-activate", "test", "boot", "switch"]:
        with subtest(action):
            refused(activate(next, action), "unsigned")
    with subtest("without NixOS's own checks"):
        refused(activate(next, environment="NIXOS_NO_CHECK=1"))
    with subtest("the activation script by itself"):
        refused(f"{next}/activate")
    with subtest("by way of a link"):
        machine.succeed(f"ln -s {next} /root/link")
        refused(activate("/root/link"))
    machine.fail("test -e /etc/next")

    with subtest("with that one signature, it is activated"):
        sign(leaf)
        admitted(next)
        machine.succeed("test -e /etc/next")
  '';
}
