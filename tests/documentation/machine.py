"""A machine for commands of the documentation: a mount and process namespace with a /nix, /etc, /run, /var/lib and
/home of its own, each on a tmpfs that ends with it. In it run a real systemd-journald, a real Nix and the real daemon.

  builder   builds and signs: an empty store, Nix
  host      what is guarded: a store with one generation of a small system, which runs; the journal; Nix

`<nixpkgs/nixos>` is the small system of `nixpkgs/`, whose entry points really run. Two things are stand-ins:
`systemctl`, which starts narwardend the way systemd does (READY=1, descriptors kept, restarted when it dies), and
`sudo`. `/srv` is what both machines share, as a cache would be. /root and /home are empty: HOME is /home/you.

Run by `Machine` in its namespaces as `machine.py KIND BINARIES SHARED`; speaks JSON, one object a line."""

import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from documentation.match import missing

HERE = pathlib.Path(__file__).resolve().parent
PATIENCE = 180
BIN = "/run/documentation/bin"
CONTROL = "/run/documentation/control"
NOTIFY = "/run/documentation/notify"
NOBODY = 65534

NIX_CONF = """\
experimental-features = nix-command flakes
sandbox = false
build-users-group =
substituters =
trusted-public-keys =
flake-registry =
"""

SYSTEMCTL = f"""\
#!/usr/bin/env python3
import socket, sys
with socket.socket(socket.AF_UNIX) as stream:
    stream.connect("{CONTROL}")
    stream.sendall(" ".join(sys.argv[1:]).encode() + b"\\n")
    answer = b"".join(iter(lambda: stream.recv(4096), b"")).decode()
sys.exit(answer or 0)
"""
SUDO = '#!/bin/sh\nexec "$@"\n'
REBOOT = "#!/bin/sh\nexec systemctl poweroff\n"
# wait-for TEXT COMMAND…: until the command prints it.
WAIT_FOR = """\
#!/usr/bin/env bash
while ((SECONDS < 120)); do
  printed=$("${@:2}" 2>&1) || true
  [[ $printed == *$1* ]] && exit
  sleep 0.1
done
printf '%s never printed %s but\\n%s\\n' "$2" "$1" "$printed"
exit 1
"""


# --- outside of the namespaces ---


class Machine:
    """A machine that runs, for as long as this process does."""

    def __init__(self, kind, binaries, shared):
        command = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"]
        command += ["--", sys.executable, str(HERE / "machine.py"), kind, str(binaries), str(shared)]
        environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TZ": "UTC"}
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, encoding="utf-8"
        )
        if not self.process.stdout.readline():
            raise SystemExit(f"the machine `{kind}` of the documentation does not start")

    def run(self, command, root, expected=None):
        """Gives the exit code and what was printed. With `expected`, on a terminal, and for as long as that takes."""
        request = {"command": command, "root": root, "expected": expected}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"the machine ended at: {command}")
        answer = json.loads(answer)
        return answer["code"], answer["printed"]

    def end(self):
        self.process.stdin.close()
        self.process.wait(PATIENCE)


def missing_tools():
    """What the machines need and is not here."""
    if os.geteuid() != 0:
        return ["root"]
    tools = ["unshare", "setpriv", "mount", "nix", "nix-build", "journalctl"]
    found = [tool for tool in tools if shutil.which(tool) is None]
    if not os.path.exists(JOURNALD):
        found.append("systemd-journald")
    trial = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "trial", "/mnt"]
    if not found and subprocess.run(trial, capture_output=True).returncode != 0:
        found.append("the right to make namespaces")
    return found


JOURNALD = "/lib/systemd/systemd-journald"

# --- inside ---


class Manager:
    """What systemd does for narwardend."""

    def __init__(self):
        self.wanted, self.daemon, self.ready, self.kept = False, None, 0, {}
        self.lock = threading.RLock()
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(NOTIFY)
        self.control = socket.socket(socket.AF_UNIX)
        self.control.bind(CONTROL)
        os.chmod(CONTROL, 0o600)
        self.control.listen()
        for work in (self.hear, self.serve, self.restart):
            threading.Thread(target=work, daemon=True).start()

    def hear(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.notify, 1 << 20, 8)
            lines = data.decode().split("\n")
            name = next((line[7:] for line in lines if line.startswith("FDNAME=")), None)
            for fd in fds:
                if "FDSTORE=1" in lines and name not in self.kept:
                    self.kept[name] = fd
                else:
                    os.close(fd)
            self.ready += "READY=1" in lines

    def serve(self):
        while True:
            stream, _ = self.control.accept()
            with stream:
                words = stream.makefile().readline().split()
                try:
                    answer = self.obey(words)
                except Exception as error:  # whoever asked is told
                    answer = repr(error)
                stream.sendall(answer.encode())

    def restart(self):
        while True:
            time.sleep(0.1)
            with self.lock:
                if self.wanted and self.daemon is not None and self.daemon.poll() is not None:
                    self.launch()

    def launch(self):
        script, fds = "exec narwardend", tuple(self.kept.values())
        if fds:
            moves = "".join(f"{3 + n}<&{fd} " for n, fd in enumerate(fds))
            names = ":".join(self.kept)
            script = f"export LISTEN_PID=$$ LISTEN_FDS={len(fds)} LISTEN_FDNAMES={names}; exec narwardend {moves}"
        environment = dict(os.environ, NOTIFY_SOCKET=NOTIFY)
        self.daemon = subprocess.Popen(
            ["bash", "-c", script], pass_fds=fds, env=environment, stdin=subprocess.DEVNULL,
            stdout=sys.stderr, stderr=sys.stderr,
        )

    def wait_until_ready(self, before):
        end = time.monotonic() + PATIENCE
        while self.ready <= before:
            if time.monotonic() > end or (self.daemon and self.daemon.poll() not in (None, -9)):
                return "narwardend did not become ready"
            time.sleep(0.01)
        return ""

    def obey(self, words):
        verb = next((word for word in words if not word.startswith("-")), "")
        if verb == "poweroff":
            self.stop()
            for fd in self.kept.values():
                os.close(fd)
            self.kept.clear()
            return ""
        unit = words[-1].removesuffix(".service")
        if unit != "narwardend":
            return f"this machine has no unit {unit}"
        if verb == "start" or (verb == "enable" and "--now" in words):
            with self.lock:
                before, self.wanted = self.ready, True
                if self.daemon is None or self.daemon.poll() is not None:
                    self.launch()
                else:
                    return ""
            return self.wait_until_ready(before)
        if verb == "reload":
            before = self.ready
            self.daemon.send_signal(signal.SIGHUP)
            return self.wait_until_ready(before)
        if verb == "kill":
            before = self.ready
            self.daemon.kill()
            return self.wait_until_ready(before)
        if verb in ("enable", "disable"):
            return ""
        return f"this machine's systemctl does not know {verb}"

    def stop(self):
        with self.lock:
            self.wanted = False
            if self.daemon is not None:
                self.daemon.kill()
                self.daemon.wait()
                self.daemon = None


def sh(script, **more):
    subprocess.run(["bash", "-euo", "pipefail", "-c", script], check=True, stdout=sys.stderr, **more)


def prepare(kind, binaries, shared):
    sh(f"""
mkdir -p /nix /srv /run/documentation
mount --bind {shared} /srv
mount -t tmpfs -o mode=755 documentation /mnt
mkdir /mnt/bin /mnt/etc
install -m 755 {binaries}/narwarden {binaries}/narwardend /mnt/bin
cp -a /etc/. /mnt/etc
cp -r {HERE}/nixpkgs /mnt/etc/nixpkgs
chmod -R a+rX /mnt/etc/nixpkgs
mount --bind /mnt/etc /etc
mount -t tmpfs -o mode=755 documentation /run
mkdir -p {BIN} /run/systemd/journal /run/log/journal
mv /mnt/bin/* {BIN}
umount /mnt
mkdir -p /etc/nix
for place in /nix /var/lib /home /root; do mount -t tmpfs -o mode=755 documentation $place; done
mkdir -p /home/you
chown {NOBODY}:{NOBODY} /home/you
[[ -s /etc/machine-id ]] || tr -d - </proc/sys/kernel/random/uuid >/etc/machine-id
rm -rf /etc/narwarden
mkdir /etc/narwarden
""")
    pathlib.Path("/etc/nix/nix.conf").write_text(NIX_CONF)
    for name, text in (("systemctl", SYSTEMCTL), ("sudo", SUDO), ("reboot", REBOOT), ("wait-for", WAIT_FOR)):
        path = pathlib.Path(BIN, name)
        path.write_text(text)
        path.chmod(0o755)
    os.environ.update(
        PATH=f"{BIN}:{os.environ['PATH']}", HOME="/home/you", TERM="dumb", NO_COLOR="1",
        NIX_PATH="nixpkgs=/etc/nixpkgs", NIX_CONF_DIR="/etc/nix",
    )
    os.chdir("/home/you")
    manager = Manager()
    if kind == "host":
        journald = subprocess.Popen([JOURNALD], stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while not os.path.exists("/run/systemd/journal/socket") and time.monotonic() < end:
            time.sleep(0.01)
        if journald.poll() is not None:
            raise SystemExit("systemd-journald does not run here")
        sh("""
system=$(nix-build --no-out-link '<nixpkgs/nixos>' -A system --arg configuration '{ greeting = "as installed"; }' 2>/dev/null)
nix-env -p /nix/var/nix/profiles/system --set "$system"
ln -s "$system" /run/current-system
ln -s "$system" /run/booted-system
""")
    return manager


def on_terminal(command, expected):
    """Runs it on a terminal of its own, to which the daemon may write too, and waits a while for that."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    os.set_blocking(terminal, False)
    text, ended, end = b"", None, time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            text += os.read(terminal, 1 << 16)
        except BlockingIOError:
            time.sleep(0.02)
        except OSError:  # all who had it are gone
            break
        printed = text.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        ended = re.search(r"\x1e(\d+)\n", printed)
        if ended and missing(expected, printed.replace(ended[0], ""), anywhere=True) is None:
            break
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    os.close(terminal)
    return (int(ended[1]), printed.replace(ended[0], "")) if ended else (None, printed)


def answer(request):
    command = ["bash", "-euo", "pipefail", "-c", request["command"]]
    if not request["root"]:
        command = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--", *command]
    if request["expected"] is not None:
        # A terminal is gone with its first process, and with it what others have to say there.
        command[-1] = f"code=0; (\n{command[-1]}\n) || code=$?; printf '\\x1e%s\\n' $code; exec sleep {PATIENCE}"
        code, printed = on_terminal(command, request["expected"])
    else:
        # A file and no pipe, which what is left in the background would keep open.
        with tempfile.TemporaryFile("w+", encoding="utf-8", errors="backslashreplace") as output:
            try:
                done = subprocess.run(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, timeout=PATIENCE
                )
                code = done.returncode
            except subprocess.TimeoutExpired:
                code = None
            output.seek(0)
            printed = output.read()
    return {"code": code, "printed": printed}


def main():
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    prepare(*sys.argv[1:4])
    print("ready", file=answers, flush=True)
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
