//! The real binary, started as anyone would start it. What is started here is ended here, by its own id.

use crate::harness::Reply;
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::Duration;

/// The binary in a directory, without a setting from this process's environment.
pub fn refloop(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_refloop"));
    without_settings(&mut command);
    command.current_dir(dir).stdin(Stdio::null());
    command
}

pub fn without_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("REFLOOP_") {
            command.env_remove(name);
        }
    }
}

/// What a command said, and its exit status.
#[derive(Debug)]
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Said {
    /// Exactly one JSON document is on standard output.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|fault| panic!("{fault}: {self:?}"))
    }

    /// It failed with one line on standard error, which this returns, and nothing on standard output.
    pub fn refusal(&self) -> &str {
        assert_eq!((self.code, self.out.as_str()), (1, ""), "{self:?}");
        assert_eq!(self.err.lines().count(), 1, "{self:?}");
        assert!(self.err.starts_with("refloop: ") && self.err.ends_with('\n'), "{self:?}");
        self.err.trim_end()
    }
}

pub fn run(dir: &Path, args: &[&str]) -> Said {
    refloop(dir).args(args).output().unwrap().into()
}

/// Runs it with something on standard input.
pub fn run_with_input(dir: &Path, args: &[&str], input: &str) -> Said {
    use std::io::Write;
    let mut command = refloop(dir);
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap().into()
}

/// SQL in the plain `sqlite3` shell, on any file. Returns what it printed, errors too.
pub fn sqlite3(file: &Path, sql: &str) -> String {
    // A server may be writing at this moment.
    let mut shell = Command::new("sqlite3");
    let output = shell.args(["-cmd", ".timeout 10000"]).arg(file).arg(sql).output().expect("sqlite3 is installed");
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The same from standard input, where the shell goes on after an error.
pub fn sqlite3_script(file: &Path, sql: &str) -> String {
    use std::io::Write;
    let mut command = Command::new("sqlite3");
    let mut shell =
        command.arg(file).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    shell.stdin.take().unwrap().write_all(sql.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A running server over `refloop.db` in a directory, with every limit at 0.
pub struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    pub url: String,
    /// The one document that it printed.
    pub greeting: Value,
}

pub const NO_LIMITS: [&str; 12] = [
    "--signup-per-hour",
    "0",
    "--convert-per-hour",
    "0",
    "--bad-key-per-minute",
    "0",
    "--public-per-minute",
    "0",
    "--developer-per-minute",
    "0",
    "--gateway-per-second",
    "0",
];

impl Server {
    pub fn start(dir: &Path) -> Self {
        let mut command = refloop(dir);
        command.args(["serve", "--json", "--workers", "2", "--listen", "127.0.0.1:0"]).args(NO_LIMITS);
        Self::spawn(command, dir)
    }

    /// From a command that was made ready elsewhere.
    pub fn spawn(mut command: Command, dir: &Path) -> Self {
        let log = File::options().create(true).append(true).open(dir.join("stderr.log")).unwrap();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        out.read_line(&mut line).unwrap();
        let log = || std::fs::read_to_string(dir.join("stderr.log")).unwrap_or_default();
        let greeting: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("it said {line:?}; {}", log()));
        Self { url: greeting["url"].as_str().unwrap().to_owned(), child, out, greeting }
    }

    pub fn gateway_key(&self) -> String {
        self.greeting["gateway_key"].as_str().unwrap().to_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn kill_9(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn terminate(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.pid().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Its exit status, and what it printed after the greeting.
    pub fn wait(&mut self) -> (Option<i32>, String) {
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        (self.child.wait().unwrap().code(), rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends requests to a server that may be gone before it has answered.
#[derive(Clone)]
pub struct Caller {
    url: String,
    agent: ureq::Agent,
}

impl Caller {
    pub fn new(url: &str) -> Self {
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let agent = config.timeout_global(Some(Duration::from_secs(30))).build().into();
        Self { url: url.to_owned(), agent }
    }

    /// `None`: no whole answer came.
    pub fn post(&self, key: Option<&str>, path: &str, body: &Value) -> Option<Reply> {
        let mut request = self.agent.post(format!("{}{path}", self.url)).header("Content-Type", "application/json");
        if let Some(key) = key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let mut response = request.send(body.to_string()).ok()?;
        let body = response.body_mut().read_to_string().ok()?;
        Some(Reply { status: response.status().as_u16(), headers: Vec::new(), body })
    }
}

/// A small generator for histories that a seed repeats (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: i64, high: i64) -> i64 {
        let span = u64::try_from(high - low + 1).unwrap();
        low + i64::try_from(self.roll() % span).unwrap()
    }

    pub fn one_in(&mut self, times: i64) -> bool {
        self.between(1, times) == 1
    }

    pub fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[usize::try_from(self.between(0, i64::try_from(of.len()).unwrap() - 1)).unwrap()]
    }
}

/// A fresh directory for one server or command.
pub fn empty_dir() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    (dir, path)
}
