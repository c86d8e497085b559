# A generation brings a laxer policy. It is activated by the rules that are pinned, its own are a
# proposal, and the daemon is the same process all the while.
{
  name = "narwarden-policy-proposed";

  story.next =
    { lib, ... }:
    {
      services.narwarden.settings.policy.mode = lib.mkForce "observe";
    };

  story.script = ''
    sign(running, new)
    before = daemon()
    admitted(new)
    event("rules-proposed")
    assert daemon() == before, "another daemon"
    assert "enforce" in machine.succeed("narwarden status | grep mode")

    with subtest("until an operator accepts it"):
        digest = machine.succeed("sha256sum < /etc/narwarden/policy.toml").split()[0]
        machine.succeed(f"narwarden policy accept --digest {digest}")
        assert "observe" in machine.succeed("narwarden status | grep mode")
  '';
}
