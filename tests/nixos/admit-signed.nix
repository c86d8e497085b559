# A generation whose every path is signed is activated, and everything that the module installs is there.
{
  name = "narwarden-admit-signed";

  story.script = ''
    with subtest("nothing is signed, so nothing is admitted"):
        refused(activate(new), "unsigned")

    with subtest("signed, it is"):
        sign(running, new)
        admitted(new)
        machine.succeed("test -e /etc/next")

    with subtest("people find what they need"):
        assert "READY" in machine.succeed("narwarden status")
        machine.succeed("jq --exit-status .schema /etc/narwarden/provenance.json")
        machine.succeed(f"jq --exit-status '.\"io.narwarden.v1\".rules' {new}/boot.json")
        # journalctl -x: an event's text, beside systemd's own.
        machine.wait_for_unit("narwarden-journal-catalog.service")
        machine.succeed("journalctl --list-catalog | grep -i narwarden")
        machine.succeed("journalctl --list-catalog | grep -i systemd")

    with subtest("the running system is read again, and passes"):
        machine.succeed("systemctl start narwarden-scrub.service")
  '';
}
