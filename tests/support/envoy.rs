//! A real Envoy as a child process.

use std::fs;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use bitgate_simulator::client;
use serde_json::Value;

use super::example::{Example, SESSION_KEY, root};

static NEXT: AtomicU32 = AtomicU32::new(0);

/// The binary that `make test` fetched and named. No story is skipped without it.
pub fn binary() -> PathBuf {
    let path = std::env::var_os("ENVOY").expect("ENVOY names no binary: run `make test`");
    PathBuf::from(path)
}

/// The built module; `bitgate` or `bitgate-test-hooks`.
pub fn module(name: &str) -> PathBuf {
    let path = root().join("target").join(format!("{name}.wasm"));
    assert!(
        path.exists(),
        "{} is missing: run `make test`",
        path.display()
    );
    path
}

fn scratch() -> PathBuf {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("bitgate-{}-{number}", std::process::id());
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&path).unwrap();
    path
}

fn command(example: &Example, folder: &Path) -> Command {
    let config = folder.join("envoy.json");
    fs::write(&config, example.0.to_string()).unwrap();
    let mut command = Command::new(binary());
    command
        .arg("--config-path")
        .arg(config)
        .arg("--disable-hot-restart")
        .current_dir(root())
        .env("BITGATE_SESSION_KEY", SESSION_KEY)
        .env("BITBUCKET_CLIENT_SECRET", "canary-client-secret");
    command
}

/// Checks a configuration without serving it.
pub fn validate(example: &Example) -> Output {
    let folder = scratch();
    let output = command(example, &folder)
        .args(["--mode", "validate"])
        .output()
        .unwrap();
    fs::remove_dir_all(folder).unwrap();
    output
}

/// A running Envoy; it ends with this value.
pub struct Envoy {
    child: Child,
    folder: PathBuf,
    pub admin: SocketAddr,
    pub listener: SocketAddr,
    /// How long it took until it was live.
    pub started_within: Duration,
}

impl Envoy {
    /// With all that the filter has to say in its log.
    pub fn start(example: &Example, workers: u32) -> Self {
        Self::start_with(example, workers, &["--component-log-level", "wasm:trace"])
    }

    /// As a site starts it: at Envoy's own level of logs.
    pub fn start_as_a_site(example: &Example, workers: u32) -> Self {
        Self::start_with(example, workers, &[])
    }

    fn start_with(example: &Example, workers: u32, more: &[&str]) -> Self {
        let folder = scratch();
        let admin_file = folder.join("admin");
        let log = fs::File::create(folder.join("log")).unwrap();
        let started = Instant::now();
        let child = command(example, &folder)
            .arg("--admin-address-path")
            .arg(&admin_file)
            .args(["--concurrency", &workers.to_string()])
            .args(more)
            .stdout(Stdio::from(log.try_clone().unwrap()))
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap();
        let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut envoy = Self {
            child,
            folder,
            admin: unknown,
            listener: unknown,
            started_within: Duration::ZERO,
        };
        envoy.admin = envoy.eventually("an admin address", |_| {
            fs::read_to_string(&admin_file).ok()?.trim().parse().ok()
        });
        envoy.eventually("a live server", |envoy| {
            (envoy.admin_text("/ready")?.trim() == "LIVE").then_some(())
        });
        envoy.started_within = started.elapsed();
        envoy.listener = envoy.eventually("a listener", |envoy| {
            let text = envoy.admin_text("/listeners?format=json")?;
            let listeners: Value = serde_json::from_str(&text).ok()?;
            let address = &listeners["listener_statuses"][0]["local_address"]["socket_address"];
            let port = u16::try_from(address["port_value"].as_u64()?).ok()?;
            Some(SocketAddr::from(([127, 0, 0, 1], port)))
        });
        envoy
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn eventually<T>(&mut self, what: &str, mut probe: impl FnMut(&Self) -> Option<T>) -> T {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(found) = probe(self) {
                return found;
            }
            let ended = self.child.try_wait().unwrap();
            let late = Instant::now() > deadline;
            assert!(
                ended.is_none() && !late,
                "no {what} ({ended:?}):\n{}",
                self.log_text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn admin_text(&self, path: &str) -> Option<String> {
        let request = http::Request::get(path)
            .header("host", "admin")
            .body(Vec::new())
            .unwrap();
        let response = client::send(self.admin, request).ok()?;
        String::from_utf8(response.into_body()).ok()
    }

    /// A counter or gauge of Envoy.
    pub fn stat(&self, name: &str) -> u64 {
        let text = self.admin_text(&format!("/stats?filter=^{name}$")).unwrap();
        let value = text.trim().rsplit(' ').next().unwrap_or_default();
        value.parse().unwrap_or(0)
    }

    pub fn stats(&self, filter: &str) -> String {
        self.admin_text(&format!("/stats?filter={filter}")).unwrap()
    }

    /// All metrics as Prometheus reads them.
    pub fn prometheus(&self) -> String {
        self.admin_text("/stats/prometheus").unwrap()
    }

    pub fn log_text(&self) -> String {
        let mut text = String::new();
        let file = fs::File::open(self.folder.join("log"));
        let _ = file.and_then(|mut file| file.read_to_string(&mut text));
        text
    }

    /// The line of the log that contains `text`, once it is written.
    pub fn eventually_logged(&self, text: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let log = self.log_text();
            if let Some(line) = log.lines().find(|line| line.contains(text)) {
                return line.to_owned();
            }
            assert!(Instant::now() < deadline, "no {text} in:\n{log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Sends bytes that no HTTP library would, and reads the head of the answer.
    pub fn send_raw(&self, bytes: &[u8]) -> String {
        use std::io::Write;
        let mut stream = TcpStream::connect(self.listener).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(5)))
            .unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = Vec::new();
        let mut buffer = [0; 4_096];
        while let Ok(count) = stream.read(&mut buffer) {
            answer.extend_from_slice(&buffer[..count]);
            if count == 0 || answer.windows(4).any(|end| end == b"\r\n\r\n") {
                break;
            }
        }
        String::from_utf8_lossy(&answer).into_owned()
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            // Without the long list of what is compiled into Envoy.
            let log = self.log_text();
            let lines = log.lines().filter(|line| !line.contains("server.cc:467]"));
            println!("--- Envoy's log\n{}", lines.collect::<Vec<_>>().join("\n"));
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}
