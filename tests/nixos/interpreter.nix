# Entry points are read as if they were run, whoever reads them, and under whatever name.
{
  name = "narwarden-interpreter";

  story.script = ''
    sign(running)

    with subtest("an interpreter may not read what it would run"):
        for command in [
            f"bash {new}/bin/switch-to-configuration test",
            f"cat {new}/activate",
            f"bash -c 'source {new}/activate'",
            f"cp {new}/activate /root/copy",
        ]:
            machine.fail(command)

    with subtest("nor from behind a mount or in a namespace"):
        machine.succeed("mkdir /root/elsewhere")
        machine.succeed(f"mount --bind {new} /root/elsewhere")
        machine.fail("/root/elsewhere/activate")
        machine.fail(f"unshare --mount {new}/activate")
        machine.succeed("umount /root/elsewhere")

    with subtest("nor the shared program with TOPLEVEL set by hand"):
        shared = machine.succeed(f"readlink -f {running}/bin/.switch-to-configuration-wrapped").strip()
        machine.fail(f"TOPLEVEL={new} OUT={new} {shared} test")

    with subtest("the running system's own goes on as before"):
        machine.wait_until_succeeds(activate(running, "dry-activate"), timeout=120)
  '';
}
