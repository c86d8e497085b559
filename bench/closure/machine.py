"""The machine: what it is, how busy others keep it, and how its page cache is emptied."""

import os
import platform
import subprocess
import time

# A run during which others had more of the processors than this is no figure of a quiet machine.
QUIET = 0.05
TICKS = os.sysconf("SC_CLK_TCK")


def cores():
    return len(os.sched_getaffinity(0))


def read(path, default=""):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return default


def field(path, name):
    for line in read(path).splitlines():
        key, _, value = line.partition(":")
        if key.strip() == name:
            return value.strip()
    return ""


def output(*command, cwd=None):
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=60, check=False)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def device_of(directory):
    """The block device below a directory, as /sys knows it."""
    number = os.stat(directory).st_dev
    return f"/sys/dev/block/{os.major(number)}:{os.minor(number)}"


def read_ahead(directory):
    device = device_of(directory)
    return read(f"{device}/queue/read_ahead_kb").strip() or read(f"{device}/../queue/read_ahead_kb").strip()


def facts(directory):
    """What the figures depend on."""
    memory = field("/proc/meminfo", "MemTotal").split()
    flags = field("/proc/cpuinfo", "flags").split() or field("/proc/cpuinfo", "Features").split()
    wanted = ("sha_ni", "avx2", "avx512f", "sha2")
    return {
        "processor": field("/proc/cpuinfo", "model name") or platform.machine(),
        "cores": cores(),
        "features": [flag for flag in wanted if flag in flags],
        "memory_gib": round(int(memory[0]) / (1 << 20)) if memory else None,
        "kernel": platform.release(),
        "virtual": output("systemd-detect-virt", "--vm") or None,
        "file_system": output("findmnt", "-n", "-o", "FSTYPE", "-T", directory),
        "read_ahead_kb": read_ahead(directory),
    }


def busy():
    """Seconds of all processors that were not idle, and those that the host took for others."""
    numbers = [int(it) for it in read("/proc/stat").split("\n", 1)[0].split()[1:]]
    idle, steal = numbers[3] + numbers[4], numbers[7] if len(numbers) > 7 else 0
    return (sum(numbers[:8]) - idle - steal) / TICKS, steal / TICKS


def load():
    return os.getloadavg()[0]


def settle(seconds, say):
    """Waits until others leave the machine alone; says so if they do not."""
    end = time.monotonic() + seconds
    while True:
        before, begin = busy(), time.monotonic()
        time.sleep(2)
        share = (busy()[0] - before[0]) / (time.monotonic() - begin) / cores()
        if share <= QUIET:
            return True
        if time.monotonic() > end:
            say(f"others use {share:.0%} of the processors, and go on: figures will be marked as those of a busy machine")
            return False


def may_drop_caches():
    return os.geteuid() == 0 and os.access("/proc/sys/vm/drop_caches", os.W_OK)


def drop_caches():
    os.sync()
    with open("/proc/sys/vm/drop_caches", "w", encoding="ascii") as file:
        file.write("3")
    time.sleep(0.3)
