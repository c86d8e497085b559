# A well signed generation that leaves narwarden out is activated, and does not stop the daemon that
# judged it: the running unit says so, and not the new one. It is gone with the next boot.
{
  name = "narwarden-module-removed";

  story.next.services.narwarden.enable = false;

  story.script = ''
    sign(running, new)
    before = daemon()
    admitted(new)
    machine.fail("test -e /etc/systemd/system/narwardend.service")
    machine.succeed("systemctl is-active narwardend.service")
    assert daemon() == before, "another daemon, or none"

    with subtest("it guards as before"):
        shared = machine.succeed(f"readlink -f {running}/bin/.switch-to-configuration-wrapped").strip()
        refused(f"TOPLEVEL={new} OUT={new} {shared} test")
  '';
}
