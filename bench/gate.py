"""What narwardend costs: run by bench/gate.sh, in namespaces of its own. Prints medians, one figure a line."""

import json, os, random, shutil, signal, socket, statistics, subprocess, sys, threading, time

BUILT, WORK, SPAWN = sys.argv[1:4]
WANTED = sys.argv[4:] or ["exec", "answer", "start", "memory", "kill"]
EXECS, ROUNDS, ANSWERS, STARTS, KILLS = 10_000, 10, 500, 5, 200
PATIENCE = 60

class Receiver(threading.Thread):
    """The service manager with its descriptor store, or the journal: takes what comes."""
    def __init__(self, path):
        super().__init__(daemon=True)
        self.ready, self.kept = 0, None
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(path)
        self.start()

    def run(self):
        while True:
            data, fds, _, _ = socket.recv_fds(self.socket, 1 << 20, 8)
            lines = data.split(b"\n")
            self.ready += b"READY=1" in lines
            for fd in fds:
                if b"FDSTORE=1" in lines and self.kept is None:
                    self.kept = fd
                else:
                    os.close(fd)

class Host:
    """A root of its own on the tmpfs, and the daemon that guards it."""
    def __init__(self, generations):
        self.directory = os.path.join(WORK, f"host{generations}-{random.getrandbits(32):x}")
        self.root = os.path.join(self.directory, "root")
        os.makedirs(self.root)
        made = subprocess.run([f"{BUILT}/examples/bench-root", self.root, str(generations)],
                              check=True, capture_output=True, text=True)
        self.good, self.evil = (self.root + line for line in made.stdout.split())
        self.trace = os.path.join(self.directory, "trace")
        self.environment = dict(os.environ, TRACE=self.trace)
        self.manager = Receiver(os.path.join(self.directory, "manager"))
        self.journal = Receiver(os.path.join(self.directory, "journal"))
        self.daemon = None

    def launch(self):
        ready, environment = self.manager.ready, dict(self.environment)
        environment["NOTIFY_SOCKET"] = os.path.join(self.directory, "manager")
        script, fds = 'exec "$@"', ()
        if self.manager.kept is not None:
            kept, fds = self.manager.kept, (self.manager.kept,)
            passed = "" if kept == 3 else f"exec 3<&{kept} {kept}<&-; "
            script = passed + 'export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=narwarden-hold; exec "$@"'
        command = [f"{BUILT}/narwardend", "--root", self.root, "--journal", os.path.join(self.directory, "journal")]
        self.daemon = subprocess.Popen(["bash", "-c", script, "bash", *command], env=environment, pass_fds=fds)
        return ready

    def start(self):
        ready = self.launch()
        wait_for(lambda: self.manager.ready > ready)
        wait_for(lambda: not self.status()["pending"])

    def kill(self):
        self.daemon.kill()
        self.daemon.wait()

    def status(self):
        """What `narwarden status --json` shows."""
        with socket.socket(socket.AF_UNIX) as stream:
            stream.connect(os.path.join(self.root, "run/narwarden/io.narwarden"))
            stream.sendall(b'{"method":"io.narwarden.Status"}\0')
            reply = b""
            while not reply.endswith(b"\0"):
                reply += stream.recv(1 << 16)
        return json.loads(reply[:-1])["parameters"]

    def popen(self, *command):
        quiet = subprocess.DEVNULL
        return subprocess.Popen(command, env=self.environment, cwd=self.directory, stdout=quiet, stderr=quiet)

    def run(self, *command):
        """How long it took, in milliseconds, and whether it ran."""
        begin = time.perf_counter()
        try:
            ran = self.popen(*command).wait(PATIENCE) == 0
        except PermissionError:
            ran = False
        return (time.perf_counter() - begin) * 1000, ran

def wait_for(is_so):
    begin = time.monotonic()
    while not is_so():
        if time.monotonic() - begin > PATIENCE:
            sys.exit("waited in vain")
        time.sleep(0.001)

def figures(name, values, unit):
    values = sorted(values)
    print(f"{name:58} median {statistics.median(values):9.2f} {unit}   min {values[0]:.2f}   max {values[-1]:.2f}"
          f"   of {len(values)}", flush=True)

def program_at(directory):
    """A program with its loader beside it, as both are below /nix/store."""
    program, source, loader = (os.path.join(directory, name) for name in ("program", "program.c", "ld.so"))
    with open(source, "w") as file:
        file.write("int main(void) { return 0; }\n")
    found = subprocess.run("readelf -l /bin/sh | sed -n 's/.*interpreter: \\(.*\\)]/\\1/p'", shell=True,
                           check=True, capture_output=True, text=True).stdout.strip()
    shutil.copy(found, loader)
    subprocess.run(["cc", "-O1", "-o", program, source, f"-Wl,--dynamic-linker={loader}"], check=True)
    return program

def bench_exec():
    """Everything else on the host: a program of the file system that is watched, and in turn with it the same program
    of one that never is, so that what else the machine does falls on both."""
    host, elsewhere, spawn = Host(1), os.path.join(WORK, "elsewhere"), os.path.join(WORK, "spawn")
    os.mkdir(elsewhere)
    subprocess.run(["mount", "-t", "tmpfs", "elsewhere", elsewhere], check=True)
    subprocess.run(["cc", "-O2", "-o", spawn, SPAWN], check=True)
    programs = [program_at(host.directory), program_at(elsewhere)]
    def some():
        command = [spawn, str(EXECS // ROUNDS), *programs]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return [tuple(int(it) / 1000 for it in line.split()) for line in done.stdout.splitlines()]
    told, asked = {False: [], True: []}, 0
    for number in range(ROUNDS):
        for guarded in ((False, True), (True, False))[number % 2]:
            if guarded:
                host.start()
                before = host.status()["gate"]["requests"]
            told[guarded] += some()
            if guarded:
                asked += host.status()["gate"]["requests"] - before
                host.kill()
    ratios = {}
    for guarded, what in ((False, "without the daemon"), (True, "with it")):
        here, there = zip(*told[guarded])
        figures(f"fork+exec, {what}, file system to watch", here, "us")
        figures(f"fork+exec, {what}, the other one", there, "us")
        ratios[guarded] = statistics.median(here) / statistics.median(there)
        print(f"{'  ratio of the medians':58} {ratios[guarded]:16.3f}", flush=True)
    print(f"{f'  requests that the gate got in {EXECS:,} executions':58} {asked:16}")
    print(f"{'  cost: with / without, of these ratios':58} {ratios[True] / ratios[False]:16.3f}", flush=True)

def bench_answer(generations):
    """A generation that was verified ahead: how long the gate is busy with it, and what its caller sees."""
    host = Host(generations)
    script = host.good + "/bin/switch-to-configuration"
    without = [host.run(script, "switch")[0] for _ in range(ANSWERS)]
    host.start()
    bins = lambda: [(it.get("upper_us"), it["count"]) for it in host.status()["gate"]["histogram"]]
    before, told = bins(), [host.run(script, "switch") for _ in range(ANSWERS)]
    delta = [(bound, after - was) for (bound, after), (_, was) in zip(bins(), before)]
    assert all(ran for _, ran in told), "an admitted generation must run"
    print(f"gate's histogram of {ANSWERS} admitted activations, {generations} generations:")
    print("    " + ", ".join(f"<= {bound} us: {count}" if bound else f"more: {count}" for bound, count in delta if count))
    figures("  activation seen from outside, without the daemon", without, "ms")
    figures("  the same with it", [took for took, _ in told], "ms")
    host.kill()

def bench_start():
    """1,000 generations: how soon it is ready, and how soon what waited for it is answered."""
    ready, answered, admitted = [], [], []
    for _ in range(STARTS):
        host = Host(1000)
        begin, before = time.perf_counter(), host.launch()
        wait_for(lambda: host.manager.ready > before)
        ready.append((time.perf_counter() - begin) * 1000)
        host.kill()
        attempt = host.popen("sh", host.evil + "/activate")
        begin, before = time.perf_counter(), host.launch()
        assert attempt.wait(PATIENCE) != 0
        answered.append((time.perf_counter() - begin) * 1000)
        wait_for(lambda: host.manager.ready > before)
        assert host.run(host.good + "/activate")[1]
        admitted.append((time.perf_counter() - begin) * 1000)
        host.kill()
        shutil.rmtree(host.root)
    figures("first start with 1,000 generations, READY=1 after", ready, "ms")
    figures("restart, what was held meanwhile is answered after", answered, "ms")
    figures("restart, a good generation has run after", admitted, "ms")

def bench_memory():
    for generations in (1, 1000):
        host = Host(generations)
        host.start()
        time.sleep(2)
        used = lambda: sum(map(int, open(f"/proc/{host.daemon.pid}/stat").read().rsplit(")", 1)[1].split()[11:13]))
        before = used()
        time.sleep(10)
        busy = (used() - before) / os.sysconf("SC_CLK_TCK") * 10
        lines = open(f"/proc/{host.daemon.pid}/status").read().splitlines()
        resident = next(int(it.split()[1]) for it in lines if it.startswith("VmRSS"))
        print(f"{f'idle, {generations} generations: VmRSS':58} {resident / 1024:16.1f} MiB, {busy:.1f} % of a processor")
        host.kill()

def bench_kill():
    """Killed at random moments while somebody tries to run what is not admitted, and others what they like."""
    host, others, ran = Host(1), [], 0
    program = os.path.join(host.directory, "other")
    host.start()
    assert not host.run(host.evil + "/activate")[1]
    ways = [("sh", "-c", f"exec {host.evil}/activate"), ("sh", host.evil + "/activate"),
            ("sh", "-c", f"exec {host.evil}/bin/switch-to-configuration switch"), ("bash", host.evil + "/dry-activate")]
    for number in range(KILLS):
        attempt = host.popen(*ways[number % len(ways)])
        time.sleep(random.uniform(0, 0.02))
        host.kill()
        shutil.copy("/bin/true", f"{program}{number}")
        for _ in range(3):
            took, fine = host.run(f"{program}{number}")
            assert fine, "another program must run"
            others.append(took)
        host.launch()
        others.append(host.run(f"{program}{number}")[0])
        ran += attempt.wait(PATIENCE) == 0 or os.path.exists(host.trace)
    print(f"{f'kill -9 during {KILLS} attempts: runs of what was rejected':58} {ran:16}")
    figures("  another program meanwhile", others, "ms")
    host.kill()

subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "bench", WORK], check=True)
print(f"{os.uname().sysname} {os.uname().release}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
for bench, run in [("exec", bench_exec), ("answer", lambda: (bench_answer(1), bench_answer(1000))),
                   ("start", bench_start), ("memory", bench_memory), ("kill", bench_kill)]:
    if bench in WANTED:
        run()
