# A well signed generation that leaves narwarden out is refused. Once the operator lets it go, it is
# activated.
{
  name = "narwarden-module-removed";

  story.next.services.narwarden.enable = false;

  story.script = ''
    sign(running, new)
    before = daemon()
    refused(activate(new), "agent-removed")
    assert daemon() == before, "another daemon, or none"

    with subtest("until the operator lets it go"):
        policy = "/etc/narwarden/policy.toml"
        machine.succeed(f"sed 's/^\\[require\\]/&\\nagent = \"may-leave\"/' {policy} > /root/policy.toml")
        machine.succeed(f"mv /root/policy.toml {policy}")
        digest = machine.succeed(f"sha256sum < {policy}").split()[0]
        machine.succeed(f"narwarden policy accept --digest {digest}")
        admitted(new)
        machine.fail("test -e /etc/systemd/system/narwardend.service")
  '';
}
