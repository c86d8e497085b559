"""One emulated machine: qemu of the tools, a control line, and the monitor. Never KVM: where it is there it may not work."""

import json
import os
import pathlib
import select
import signal
import socket
import subprocess
import time

MEMORY = "768"
PAYLOAD, RESULTS = 1 << 20, 32 << 20
APPEND = ("console=ttyS0 panic=-1 quiet mitigations=off nokaslr random.trust_cpu=on no_timer_check audit=0 "
          # As NixOS has them; what a page has held does not matter here.
          "lsm=landlock,yama,bpf init_on_alloc=0 transparent_hugepage=never no5lvl nowatchdog "
          "systemd.show_status=0")
# What a saved state fits. -no-reboot: a reboot ends qemu, and the runner starts it again.
BOARD = ("-nodefaults", "-no-user-config", "-display", "none",
         "-machine", "q35,usb=off,vmport=off,smbus=off,hpet=off,graphics=off", "-accel", "tcg,tb-size=256",
         "-cpu", "max", "-smp", "1", "-m", MEMORY, "-no-reboot", "-rtc", "base=utc,clock=vm")


class Gone(Exception):
    """The machine ended, or does not answer."""


class Tools:
    """Programs of Debian trixie, run where they lie."""

    def __init__(self, root):
        self.root = root
        self.libraries = root / "usr/lib/x86_64-linux-gnu"

    def command(self, program, *arguments):
        """Its own loader and libraries, whatever this host has."""
        return [str(self.libraries / "ld-linux-x86-64.so.2"), "--library-path", str(self.libraries),
                str(self.root / "usr/bin" / program), *map(str, arguments)]

    def environment(self):
        """Parts of qemu are loaded."""
        return {**os.environ, "QEMU_MODULE_DIR": str(self.libraries / "qemu")}

    def image(self, *arguments):
        """qemu-img."""
        subprocess.run(self.command("qemu-img", *arguments), env=self.environment(), check=True,
                       stdout=subprocess.DEVNULL)

    def firmware(self):
        """Where the BIOS is."""
        return ["-L", str(self.root / "usr/share/seabios"), "-L", str(self.root / "usr/share/qemu")]


class Machine:
    """A machine with a disk of its own in `work`."""

    def __init__(self, tools, boot, work):
        self.tools, self.boot, self.work = tools, boot, work
        self.process = self.control = self.monitor = None
        self.received = b""
        # Seconds of processor that it took so far: what is the same on a busy host.
        self.work_done = 0.0
        self.serial = work / "serial.log"
        self.control_log = work / "control.log"

    def start(self, disk, state=None, append=""):
        """From the begin, or from where `state` was saved."""
        for name, size in (("payload", PAYLOAD), ("results", RESULTS)):
            with open(self.work / name, "ab") as file:
                file.truncate(size)
        for name in ("control", "monitor"):
            (self.work / name).unlink(missing_ok=True)
        drive = "if=none,cache=unsafe,discard=unmap"
        # It ends with the runner, whatever becomes of that.
        command = ["setpriv", "--pdeathsig", "KILL", *self.tools.command(
            "qemu-system-x86_64", *self.tools.firmware(), *BOARD,
            "-chardev", f"file,id=console,path={self.serial},append=on", "-serial", "chardev:console",
            "-chardev", f"socket,id=control,path={self.work}/control,server=on,wait=off", "-serial", "chardev:control",
            "-qmp", f"unix:{self.work}/monitor,server=on,wait=off",
            "-drive", f"file={disk},format=qcow2,id=disk,{drive}", "-device", "virtio-blk-pci,drive=disk",
            "-drive", f"file={self.work}/payload,format=raw,id=payload,read-only=on,{drive}",
            "-device", "virtio-blk-pci,drive=payload",
            "-drive", f"file={self.work}/results,format=raw,id=results,{drive}",
            "-device", "virtio-blk-pci,drive=results",
            "-kernel", self.boot.kernel, "-initrd", self.boot.initramfs, "-append", f"{APPEND} {append}",
            *(["-incoming", f"file:{state}"] if state else []))]
        errors = open(self.work / "qemu.log", "ab")
        self.process = subprocess.Popen(command, env=self.tools.environment(), stdin=subprocess.DEVNULL,
                                        stdout=errors, stderr=errors, start_new_session=True)
        errors.close()
        self.control = self.connect("control")
        self.monitor = self.connect("monitor").makefile("rwb")
        self.monitor.readline()
        self.ask("qmp_capabilities")
        if state:
            self.wait_for_state("inmigrate", 60)
            self.ask("cont")

    def connect(self, name):
        """qemu makes its sockets before anything else."""
        until = time.monotonic() + 60
        while True:
            line = socket.socket(socket.AF_UNIX)
            try:
                line.connect(str(self.work / name))
                return line
            except OSError:
                line.close()
                if not self.is_there() or time.monotonic() > until:
                    raise Gone(f"qemu did not start: {self.tail('qemu.log')}") from None
                time.sleep(0.01)

    def is_there(self):
        """Whether qemu runs. It is not reaped by looking."""
        return os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

    def ask(self, verb, **arguments):
        """One command to the monitor."""
        try:
            self.monitor.write(json.dumps({"execute": verb, "arguments": arguments}).encode() + b"\n")
            self.monitor.flush()
            while line := self.monitor.readline():
                answer = json.loads(line)
                if "error" in answer:
                    raise Gone(f"{verb}: {answer['error']}")
                if "return" in answer:
                    return answer["return"]
        except OSError:
            pass
        raise Gone(f"qemu ended: {self.tail('qemu.log')}")

    def wait_for_state(self, leaving, seconds):
        """Until it is in another state than this."""
        until = time.monotonic() + seconds
        while self.ask("query-status")["status"] == leaving:
            if time.monotonic() > until:
                raise Gone(f"still {leaving} after {seconds} s")
            time.sleep(0.01)

    def save(self, state):
        """What it is doing, so that others can go on from here. It ends."""
        self.ask("stop")
        self.ask("migrate", uri=f"file:{state}")
        until = time.monotonic() + 300
        while (status := self.ask("query-migrate").get("status")) != "completed":
            if status == "failed" or time.monotonic() > until:
                raise Gone(f"saving: {status}: {self.tail('qemu.log')}")
            time.sleep(0.02)
        try:
            self.ask("quit")
        except Gone:
            pass
        self.reap()
        self.close()

    def send(self, line):
        """One request to the guest."""
        try:
            self.control.sendall(line.encode() + b"\n")
        except OSError as error:
            raise Gone(f"the control line is cut: {error}") from error

    def receive(self, until, show=lambda _line: None):
        """The next answer, as words. Anything else is output, and goes to `show`. Past `until` the machine is gone; if
        it ended by itself the answer is `ended`."""
        with open(self.control_log, "ab") as log:
            while True:
                while b"\n" in self.received:
                    line, self.received = self.received.split(b"\n", 1)
                    log.write(line + b"\n")
                    text = line.rstrip(b"\r").decode(errors="replace")
                    if text.startswith("\x01"):
                        return text[1:].split()
                    show(text)
                left = until - time.monotonic()
                if left <= 0:
                    raise Gone("it took too long")
                if not select.select([self.control], [], [], min(left, 5))[0]:
                    continue
                try:
                    more = self.control.recv(65536)
                except OSError:
                    more = b""
                if not more:
                    return ["ended"]
                self.received += more

    def cut(self):
        """As when the power fails: qemu is killed, and what the guest had not written is lost."""
        if self.process is None:
            return
        if self.process.returncode is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.reap()
        self.close()

    def reap(self):
        """Waits for it, and counts what it took."""
        if self.process.returncode is None:
            _, status, used = os.wait4(self.process.pid, 0)
            self.process.returncode = os.waitstatus_to_exitcode(status)
            self.work_done += used.ru_utime + used.ru_stime

    def close(self):
        """Lines of a machine that ended."""
        for line in (self.control, self.monitor):
            if line is not None:
                line.close()
        self.process = self.control = self.monitor = None
        self.received = b""

    def tail(self, name):
        """The end of a log."""
        path = pathlib.Path(self.work / name)
        return path.read_text(errors="replace")[-2000:].strip() if path.exists() else ""

    def panicked(self):
        """Whether the kernel did, in the last boot."""
        text = self.serial.read_text(errors="replace") if self.serial.exists() else ""
        return any(word in text for word in ("Kernel panic", "Oops:", "VM-BOOT-FAILED"))
