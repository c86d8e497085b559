# Until its date, a denial is written down and does not hold.
{
  name = "narwarden-observe";

  story.machine =
    { lib, ... }:
    {
      services.narwarden.settings.policy.mode = lib.mkForce "observe";
      services.narwarden.observeUntil = "2099-01-31";
    };

  story.script = ''
    output = machine.succeed(activate(new))
    event("would-deny")
    with subtest("the check before a switch says it to whoever switches"):
        assert "narwarden:" in output, output
    machine.succeed("test -e /etc/next")
  '';
}
