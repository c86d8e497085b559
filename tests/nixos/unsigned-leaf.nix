# One path of hundreds has no signature. Neither another action, nor the entry point itself, nor
# NixOS's way around its own checks runs the generation.
{
  name = "narwarden-unsigned-leaf";

  story.script = ''
    sign(running)
    leaf = machine.succeed(f"readlink -f {new}/etc/next").strip()
    machine.succeed(f"nix store sign --key-file /root/key.secret $(nix-store --query --requisites {new} | grep -v {leaf})")

    for action in ["check", "dry-activate", "test", "boot", "switch"]:
        with subtest(action):
            refused(activate(new, action), "unsigned")
    with subtest("without NixOS's own checks"):
        refused(activate(new, environment="NIXOS_NO_CHECK=1"))
    with subtest("the activation script by itself"):
        refused(f"{new}/activate")
    with subtest("by way of a link"):
        machine.succeed(f"ln -s {new} /root/link")
        refused(activate("/root/link"))
    machine.fail("test -e /etc/next")

    with subtest("with that one signature, it is activated"):
        sign(leaf)
        admitted(new)
        machine.succeed("test -e /etc/next")
  '';
}
