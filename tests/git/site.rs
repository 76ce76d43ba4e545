//! A site in front of Bitbucket's repositories, and somebody with git.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, MutexGuard};

use bitgate_simulator::bitbucket::{
    AccessToken, AccessTokenKind, ApiToken, Bitbucket, Email, Entry, Environment, Settings, Step,
};
use bitgate_simulator::client;
use bitgate_simulator::git::{Client, Folder, Git, address_for, basic};
use bitgate_simulator::server::{self, Running};
use bitgate_simulator::{Request, Response};
use serde_json::json;

use crate::support::envoy::{Envoy, module};
use crate::support::setup::Setup;
use crate::support::world::{Kind, Surroundings, World};

pub const WIDGETS: &str = "/acme/widgets.git";
/// Where `envoy/git.yaml` lets a step push from.
const PRODUCTION: &str = "{de910000-1111-4222-8333-444455556666}";
/// A token of the workspace that can push.
pub const FILLER: &str = "ATCTT3xFfGN0-filler-of-repositories";
/// Bitbucket's host, as its tests and `envoy/git.yaml` have it.
const WEB: &str = "127.0.0.1:10001";

/// A name and a password.
pub type Login<'l> = (&'l str, &'l str);

/// Owns the workspace.
pub const ADA: Login<'_> = ("ada@example.com", "ATATT3xFfGF0-demo-api-token");
/// May write to widgets.
pub const GRACE: Login<'_> = ("grace@example.com", "ATATT3xFfGF0-grace-api-token");
/// May read widgets.
pub const LINUS: Login<'_> = ("linus@example.com", "ATATT3xFfGF0-linus-api-token");

/// An Envoy on a port that is known before, since git tells it in its `Host`.
pub struct Site {
    pub envoy: Envoy,
    around: Surroundings,
    port: u16,
    pub home: PathBuf,
    _provider: Running,
    _folder: Folder,
}

impl Site {
    /// With one commit in widgets.
    pub fn start(name: &str) -> Self {
        let setup = Setup {
            example: "git.yaml",
            bitbucket: people_with_tokens,
            ..Setup::default()
        };
        let (mut example, around) = World::parts(Kind::Envoy, &setup);
        let folder = Folder::create().unwrap();
        let git = Arc::new(Git::new(Arc::clone(&around.bitbucket), &folder));
        let handler = Arc::clone(&around.bitbucket);
        let any = ([127, 0, 0, 1], 0).into();
        let provider = server::spawn_with_git(any, &git, move |now, request| {
            handler.lock().unwrap().handle(now, &request)
        });
        let provider = provider.unwrap();
        for cluster in ["bitbucket_web", "bitbucket_api", "bitbucket_git"] {
            example.set_cluster_port(cluster, provider.address().port());
        }
        let port = free_port();
        example.free_ports();
        let listener = &mut example.0["static_resources"]["listeners"][0];
        listener["address"]["socket_address"]["port_value"] = json!(port);
        example.set_module(&module("bitgate"));
        let mut config = example.plugin();
        config["public_url"] = json!(format!("http://localhost:{port}"));
        example.set_plugin(&config);
        {
            let mut bitbucket = around.bitbucket.lock().unwrap();
            bitbucket.settings.media_host = provider.address().to_string();
            // Before the first one there are no keys.
            bitbucket.set_pipelines_ran("acme", true).unwrap();
        }
        let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let home = home.join(format!("git-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        fill(&around, &home, &provider.address().to_string());
        Self {
            envoy: Envoy::start(&example, 1),
            around,
            port,
            home,
            _provider: provider,
            _folder: folder,
        }
    }

    pub fn bitbucket(&self) -> MutexGuard<'_, Bitbucket> {
        self.around.bitbucket.lock().unwrap()
    }

    /// The address of what is at `path`, with a name and a password in it if there are any.
    pub fn address(&self, login: Option<Login<'_>>, path: &str) -> String {
        let host = format!("localhost:{}", self.port);
        match login {
            Some((user, password)) => address_for(user, password, &host, path),
            None => format!("http://{host}{path}"),
        }
    }

    /// The token of a step that builds a branch, with the name that git gives it.
    pub fn step(&self, repository: &str, branch: &str) -> (&'static str, String) {
        self.step_as(&Step::of("acme", repository, branch))
    }

    /// The same for one that deploys.
    pub fn deploying(&self, repository: &str, branch: &str) -> (&'static str, String) {
        self.step_as(&Step {
            deployment_environment: Some(Environment {
                name: "production".to_owned(),
                uuid: PRODUCTION.to_owned(),
            }),
            ..Step::of("acme", repository, branch)
        })
    }

    pub fn step_as(&self, step: &Step) -> (&'static str, String) {
        let now = self.around.clock.now();
        let token = self.bitbucket().run_step(now, step).unwrap();
        ("x-token-auth", token)
    }

    pub fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Client::at_home(&self.home).command(arguments);
        // What is said of the protocol.
        command.env("GIT_TRACE_PACKET", self.home.join("packets"));
        command.output().unwrap()
    }

    /// What git says when it works.
    pub fn git(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = said(&output);
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    /// What git says when it does not, as it does for all that is refused.
    pub fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = said(&output);
        assert!(!output.status.success(), "{arguments:?}: {said}");
        said
    }

    pub fn packets(&self) -> String {
        std::fs::read_to_string(self.home.join("packets")).unwrap()
    }

    /// Sends a request as git would, and whatever git would not.
    pub fn send(&self, login: Option<Login<'_>>, mut request: Request) -> Response {
        let headers = request.headers_mut();
        let host = format!("localhost:{}", self.port);
        headers.insert("host", host.parse().unwrap());
        headers.insert("user-agent", "git/2.47.3".parse().unwrap());
        if let Some((user, password)) = login {
            headers.insert("authorization", basic(user, password).parse().unwrap());
        }
        client::send(self.envoy.listener, request).unwrap()
    }

    /// Sends a push with its body at once. The first line of the answer: who is refused while they still send
    /// may find the connection closed after it.
    pub fn push_unasked(&self, login: Option<Login<'_>>, target: &str) -> String {
        let (_, first) = self.push(login, target, "\r\n4\r\n0000\r\n");
        String::from_utf8_lossy(&first).into_owned()
    }

    fn push(&self, login: Option<Login<'_>>, target: &str, rest: &str) -> (TcpStream, [u8; 12]) {
        let mut stream = TcpStream::connect(self.envoy.listener).unwrap();
        let login = login.map_or(String::new(), |(user, password)| {
            format!("authorization: {}\r\n", basic(user, password))
        });
        let text = format!(
            "POST {target} HTTP/1.1\r\nhost: localhost:{}\r\n{login}user-agent: git/2.47.3\r\n\
             content-type: application/x-git-receive-pack-request\r\n\
             transfer-encoding: chunked\r\nconnection: close\r\n{rest}",
            self.port
        );
        stream.write_all(text.as_bytes()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        (stream, first)
    }

    /// Sends the head of a request that asks whether to send its body. The first line of the answer, and
    /// the rest after a short body.
    pub fn ask(&self, login: Option<Login<'_>>, target: &str) -> (String, String) {
        let (mut stream, first) = self.push(login, target, "expect: 100-continue\r\n\r\n");
        if first == *b"HTTP/1.1 100" {
            stream.write_all(b"4\r\n0000\r\n0\r\n\r\n").unwrap();
        }
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        (String::from_utf8_lossy(&first).into_owned(), rest)
    }

    /// What reached the repositories through Bitgate.
    pub fn passed(&self) -> Vec<Entry> {
        let bitbucket = self.bitbucket();
        let entries = bitbucket.ledger().iter();
        let entries = entries.filter(|entry| {
            entry.host == WEB && entry.kind.starts_with("/{workspace}/{repository}.git/")
        });
        entries.cloned().collect()
    }

    pub fn commit(&self, directory: &str, file: &str, content: &[u8]) {
        std::fs::write(self.home.join(directory).join(file), content).unwrap();
        self.git(&["-C", directory, "add", "."]);
        self.git(&["-C", directory, "commit", "--quiet", "-m", file]);
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        std::fs::read(self.home.join(path)).unwrap()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// Fills widgets without Bitgate, at another host.
fn fill(around: &Surroundings, home: &Path, host: &str) {
    let set_host = |host: &str| {
        around.bitbucket.lock().unwrap().settings.web_host = host.to_owned();
    };
    set_host(host);
    let address = address_for("x-token-auth", FILLER, host, WIDGETS);
    let commit = [
        "-C",
        "filler",
        "commit",
        "--quiet",
        "--allow-empty",
        "-m",
        "first",
    ];
    for arguments in [
        &["clone", "--quiet", &address, "filler"][..],
        &commit,
        &["-C", "filler", "push", "--quiet", "origin", "HEAD:main"],
    ] {
        let output = Client::at_home(home).run(arguments).unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
    set_host(WEB);
}

/// Below those that the system gives to clients: one of them could have it before Envoy does.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 600).unwrap() * 20;
    loop {
        let port = 20_000 + (start + NEXT.fetch_add(1, Ordering::Relaxed)) % 12_000;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

fn people_with_tokens(settings: &mut Settings) {
    settings.people[2].emails = vec![Email {
        email: LINUS.0.to_owned(),
        is_primary: true,
        is_confirmed: true,
    }];
    settings.access_tokens.push(AccessToken {
        token: FILLER.to_owned(),
        kind: AccessTokenKind::Workspace,
        workspace: "{77aa0000-1111-4222-8333-444455556666}".to_owned(),
        scopes: vec!["repository:write".to_owned()],
        is_admin: false,
        expires_at: None,
        api_limit: None,
    });
    for (place, (_, token)) in [(1, GRACE), (2, LINUS)] {
        settings.api_tokens.push(ApiToken {
            token: token.to_owned(),
            account_id: settings.people[place].account_id.clone(),
            ..settings.api_tokens[0].clone()
        });
    }
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!(
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(err)
    )
}

/// Bytes that no compression makes fewer.
pub fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    });
    words.flatten().take(length).collect()
}
