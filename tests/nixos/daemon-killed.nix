# Whoever kills the daemon opens nothing: what is held shut stays shut until the next one is there.
{
  name = "narwarden-daemon-killed";

  story.script = ''
    before = daemon()
    for _ in range(3):
        machine.execute("systemctl kill --signal SIGKILL narwardend.service")
        status, output = machine.execute(f"timeout 60 cat {new}/activate")
        assert status != 0, f"it was read: {output}"
    machine.wait_for_unit("narwardend.service")
    assert daemon() != before, "it was not killed"
    refused(activate(new), "unsigned")
  '';
}
