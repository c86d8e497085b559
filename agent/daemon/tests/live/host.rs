//! A host: a store on a file system of its own, the daemon, whom it talks to, and commands that are tried there.

pub(crate) use crate::patience::{PATIENCE, wait, wait_for};
pub(crate) use crate::place::{live, live_on_ext4};

use crate::manager::{Journal, Manager};
use crate::system::System;
use narwarden_core::store_path::StorePath;
use narwarden_forge::Rules;
use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// What became of a command.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: ExitStatus,
    pub(crate) said: String,
    /// What entry points that ran left behind.
    pub(crate) trace: String,
}

impl Done {
    pub(crate) fn was_refused(&self) -> bool {
        self.trace.is_empty() && self.said.contains("not permitted")
    }
}

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) directory: PathBuf,
    pub(crate) system: System,
    pub(crate) journal: Option<Journal>,
    pub(crate) manager: Manager,
    pub(crate) daemon: Option<Child>,
    /// What the shell that starts the daemon runs first.
    pub(crate) limits: &'static str,
    /// Where another version of the daemon would lie.
    pub(crate) successor: Option<PathBuf>,
}

impl Host {
    pub(crate) fn new(directory: &Path) -> Self {
        let root = directory.join("root");
        fs::create_dir(&root).unwrap();
        let system = System::new(&root);
        system.generation(1, &system.good.to_string());
        system.set_current(1);
        fs::create_dir_all(root.join("etc/narwarden")).unwrap();
        let host = Self {
            journal: Some(Journal::at(&directory.join("journal"))),
            manager: Manager::at(&directory.join("manager")),
            directory: directory.to_owned(),
            system,
            daemon: None,
            limits: "",
            successor: None,
        };
        host.rules("");
        host
    }

    /// The rules to pin, with more in the policy; they are enforced unless it says otherwise.
    pub(crate) fn rules(&self, more: &str) {
        let Rules { trust, policy } = Rules::good();
        let proposals = self.root().join("etc/narwarden");
        fs::write(proposals.join("trust.toml"), trust).unwrap();
        // What stands before the tables comes first.
        let (first, rest) = more.split_once("\n\n").unwrap_or(("", more));
        let mode = if more.contains("mode =") { "" } else { "mode = \"enforce\"\n" };
        fs::write(proposals.join("policy.toml"), format!("{mode}{first}\n{policy}{rest}\n"))
            .unwrap();
    }

    pub(crate) fn root(&self) -> &Path {
        self.system.forge.root()
    }

    pub(crate) fn physical(&self, path: &StorePath) -> PathBuf {
        self.system.forge.physical(path)
    }

    /// Locks the database, so that whoever reads it waits; for ten seconds at most, says narwarden-store.
    pub(crate) fn lock_database(&self) {
        let database = self.system.forge.connection();
        database.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    }

    /// Unlocks it, which takes one more statement (`PRAGMA locking_mode` of SQLite).
    pub(crate) fn unlock_database(&self) {
        let database = self.system.forge.connection();
        database.execute_batch("COMMIT; PRAGMA locking_mode = NORMAL").unwrap();
        let count = "SELECT count(*) FROM ValidPaths";
        let rows: i64 = database.query_row(count, [], |row| row.get(0)).unwrap();
        assert!(rows > 0);
    }

    /// A signed toplevel that takes seconds to verify.
    pub(crate) fn slow_good(&mut self) -> StorePath {
        let path = self.system.slow("slow");
        self.system.sign(&path);
        path
    }

    /// Starts the daemon without waiting for it, with what the manager keeps.
    pub(crate) fn launch(&mut self) {
        let mut command = Command::new("sh");
        let kept = self.manager.kept();
        let limits = self.limits;
        let (script, input) = match kept {
            Some((name, file)) => (
                format!(
                    "{limits} exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES={name}; exec \"$@\""
                ),
                Stdio::from(file),
            ),
            None => (format!("{limits} exec \"$@\""), Stdio::null()),
        };
        command.args(["-c", &script, "sh", env!("CARGO_BIN_EXE_narwardend"), "--root"]);
        command.arg(self.root()).arg("--journal").arg(self.directory.join("journal"));
        command
            .args(self.successor.iter().flat_map(|it| [OsStr::new("--successor"), it.as_os_str()]));
        command.env("NOTIFY_SOCKET", self.directory.join("manager")).current_dir(&self.directory);
        self.daemon = Some(command.stdin(input).spawn().unwrap());
    }

    /// Starts the daemon and waits until it is ready.
    pub(crate) fn start(&mut self) {
        let before = self.manager.ready();
        self.launch();
        wait_for("READY=1", || self.manager.ready() > before);
    }

    /// Starts the daemon and waits until it knows of every toplevel and admitted the good one.
    pub(crate) fn guard(&mut self) {
        self.start();
        let good = self.system.good.clone();
        wait_for("the admission", || self.standing(&good).as_deref() == Some("admitted"));
    }

    /// Guards, and waits until the good one has run by the verdict that stays: one from before everything was known is
    /// made once more.
    pub(crate) fn guard_and_settle(&mut self) {
        self.guard();
        let good = self.system.good.clone();
        let done = self.run("$T/bin/switch-to-configuration switch", &good);
        assert!(done.trace.contains("good wrapper"), "{done:#?}");
        wait_for("the end of it", || self.status()["pending"] == serde_json::json!([]));
    }

    /// kill(2) with SIGKILL, and nothing is left of it.
    pub(crate) fn kill(&mut self) {
        let Some(mut daemon) = self.daemon.take() else { return };
        daemon.kill().unwrap();
        daemon.wait().unwrap();
    }

    /// What the daemon answers to a call of its interface.
    pub(crate) fn call(&self, method: &str, parameters: &str) -> Option<Value> {
        let mut stream =
            UnixStream::connect(self.root().join("run/narwarden/io.narwarden")).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let call =
            format!("{{\"method\":\"io.narwarden.{method}\",\"parameters\":{parameters}}}\0");
        stream.write_all(call.as_bytes()).ok()?;
        let mut reply = Vec::new();
        let mut byte = [0];
        while stream.read(&mut byte).ok()? == 1 && byte != [0] {
            reply.push(byte[0]);
        }
        serde_json::from_slice(&reply).ok()
    }

    pub(crate) fn status(&self) -> Value {
        let reply = self.call("Status", "{}").unwrap_or(Value::Null);
        reply["parameters"].clone()
    }

    /// How the generation with this toplevel stands.
    pub(crate) fn standing(&self, toplevel: &StorePath) -> Option<String> {
        let status = self.status();
        let generations = status["generations"].as_array()?;
        let found = generations.iter().find(|it| it["toplevel"] == toplevel.to_string())?;
        found["standing"].as_str().map(str::to_owned)
    }

    /// How many files are known to activate something.
    pub(crate) fn held_files(&self) -> u64 {
        self.status()["marks"]["held_files"].as_u64().unwrap()
    }

    /// How often the journal was told this verdict on the toplevel.
    pub(crate) fn verdicts(&self, word: &str, toplevel: &StorePath) -> usize {
        let verdict = format!("NARWARDEN_EVENT={word}\n");
        let about = format!("NARWARDEN_TOPLEVEL={toplevel}\n");
        let entries = self.journal.as_ref().unwrap().entries();
        let written = entries.iter().filter(|it| it.contains("NARWARDEN_RECEIPT="));
        written.filter(|it| it.contains(&verdict) && it.contains(&about)).count()
    }

    /// A shell that runs `script` with `$T` standing for a toplevel.
    pub(crate) fn shell(&self, script: &str, toplevel: &StorePath) -> Command {
        let store = self.root().join("nix/store");
        let mut command = Command::new("sh");
        command.args(["-c", script]).current_dir(&self.directory);
        command.env("T", self.physical(toplevel)).env("N", toplevel.base_name());
        command.env("GOOD", self.physical(&self.system.good)).env("STORE", store);
        command
            .env("SWITCH", self.physical(&self.system.switch).join("bin/switch-to-configuration"));
        command.env("PROFILES", self.root().join("nix/var/nix/profiles"));
        command.env("TRACE", self.trace()).env("DIR", &self.directory).env("ROOT", self.root());
        command.stdin(Stdio::null());
        command
    }

    fn trace(&self) -> PathBuf {
        self.directory.join("trace")
    }

    /// Runs it to its end, which must come in time.
    pub(crate) fn run(&self, script: &str, toplevel: &StorePath) -> Done {
        let _ = fs::remove_file(self.trace());
        let output = fs::File::create(self.directory.join("said")).unwrap();
        let mut command = self.shell(script, toplevel);
        let mut child = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
        let status = wait(&mut child, script);
        Done {
            status,
            said: fs::read_to_string(self.directory.join("said")).unwrap(),
            trace: fs::read_to_string(self.trace()).unwrap_or_default(),
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            let _ = daemon.kill();
            let _ = daemon.wait();
        }
    }
}
