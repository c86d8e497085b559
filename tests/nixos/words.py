running = "/run/current-system"


def sign(*paths):
    """Signs the closures: what CI does, right after the build."""
    machine.copy_from_host(key, "/root/key.secret")
    machine.succeed(f"nix store sign --recursive --key-file /root/key.secret {' '.join(paths)}")


def activate(toplevel, action="test", environment=""):
    return f"{environment} {toplevel}/bin/switch-to-configuration {action} 2>&1"


def admitted(toplevel, action="test", environment=""):
    """Activates. A denial from before the signatures is good for ten seconds."""
    machine.wait_until_succeeds(activate(toplevel, action, environment), timeout=120)


def refused(command, reason=None):
    """The kernel refuses to run it; the journal says why."""
    status, output = machine.execute(command)
    assert status == 126, f"exit {status}, not 126: {output}"
    if reason is not None:
        event("denied", f"NARWARDEN_REASON={reason}", "NARWARDEN_ACTION=refused")


def event(name, *fields):
    """Waits for the event, and gives it."""
    command = f"journalctl --unit narwardend --output json NARWARDEN_EVENT={name} {' '.join(fields)} | grep ."
    return machine.wait_until_succeeds(command, timeout=60)


def daemon():
    return machine.succeed("systemctl show --property MainPID --value narwardend.service").strip()


machine.start(allow_reboot=True)
machine.wait_for_unit("narwardend.service")
machine.wait_for_unit("multi-user.target")
event("rules-pinned")
