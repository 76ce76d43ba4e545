//! Real git and git-lfs through a real Envoy with the real module, to repositories at Bitbucket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::disallowed_methods,
    reason = "tests: a failed expectation is a failed test"
)]

mod support;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Output;
use std::sync::{Arc, MutexGuard};

use bitgate_simulator::bitbucket::{AccessToken, AccessTokenKind, Bitbucket, CredentialKind};
use bitgate_simulator::client;
use bitgate_simulator::git::{Client, Folder, Git, address_for};
use bitgate_simulator::server::{self, Running};
use serde_json::json;
use support::browser::{Jar, location};
use support::envoy::{Envoy, module};
use support::setup::Setup;
use support::world::{Kind, Surroundings, World};

const WIDGETS: &str = "/acme/widgets.git";
/// A token of the workspace, with which repositories are filled without Bitgate.
const FILLER: &str = "ATCT-filler";

/// An Envoy on a port that is known before, since git tells it in its `Host`.
struct Site {
    envoy: Envoy,
    around: Surroundings,
    port: u16,
    home: PathBuf,
    provider: Running,
    _folder: Folder,
}

impl Site {
    fn start(name: &str) -> Self {
        let setup = Setup {
            example: "git.yaml",
            bitbucket: |settings| {
                settings.consumers[0].scopes = ["account", "email", "repository:write"]
                    .map(str::to_owned)
                    .to_vec();
                settings.access_tokens = vec![AccessToken {
                    token: FILLER.to_owned(),
                    kind: AccessTokenKind::Workspace,
                    workspace: "{77aa0000-1111-4222-8333-444455556666}".to_owned(),
                    scopes: vec!["repository:write".to_owned()],
                    is_admin: false,
                    expires_at: None,
                    api_limit: None,
                }];
            },
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
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        example.free_ports();
        let listener = &mut example.0["static_resources"]["listeners"][0];
        listener["address"]["socket_address"]["port_value"] = json!(port);
        example.set_module(&module("bitgate"));
        let mut config = example.plugin();
        config["public_url"] = json!(format!("http://localhost:{port}"));
        example.set_plugin(&config);
        {
            let settings = &mut around.bitbucket.lock().unwrap().settings;
            settings.consumers[0].callback = format!("http://localhost:{port}/_bitgate/callback");
            settings.media_host = provider.address().to_string();
        }
        let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let home = home.join(format!("git-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        Self {
            envoy: Envoy::start(&example, 1),
            around,
            port,
            home,
            provider,
            _folder: folder,
        }
    }

    fn bitbucket(&self) -> MutexGuard<'_, Bitbucket> {
        self.around.bitbucket.lock().unwrap()
    }

    fn address(&self) -> String {
        format!("http://localhost:{}{WIDGETS}", self.port)
    }

    /// The `Cookie` field of a person who signed in.
    fn sign_in(&self, nickname: &str) -> String {
        let account_id = {
            let bitbucket = self.bitbucket();
            let mut people = bitbucket.settings.people.iter();
            people
                .find(|person| person.nickname == nickname)
                .unwrap()
                .account_id
                .clone()
        };
        let mut jar = Jar::default();
        let mut open = |target: &str| {
            let request = http::Request::get(target)
                .header("host", format!("localhost:{}", self.port))
                .header("accept", "text/html")
                .header("cookie", jar.header())
                .header("sec-fetch-mode", "navigate");
            let answer = client::send(self.envoy.listener, request.body(Vec::new()).unwrap());
            let answer = answer.unwrap();
            jar.take(&answer);
            assert_eq!(answer.status(), 302, "{target}");
            location(&answer)
        };
        let sent_away = open("/_bitgate/login?rd=/");
        let (_, query) = sent_away.split_once('?').unwrap();
        let mut form = form_urlencoded::Serializer::new(query.to_owned());
        let form = form
            .append_pair("account", &account_id)
            .append_pair("decision", "grant");
        let request = http::Request::post("/site/oauth2/authorize")
            .header("host", "127.0.0.1:10001")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish().into_bytes());
        let now = self.around.clock.now();
        let consented = self.bitbucket().handle(now, &request.unwrap());
        let callback = location(&consented);
        let site = format!("http://localhost:{}", self.port);
        open(callback.strip_prefix(&site).expect("our address"));
        jar.header()
    }

    /// Runs git with a person's cookies for this site alone.
    fn run(&self, cookie: &str, arguments: &[&str]) -> Output {
        let scope = format!("http.http://localhost:{}/.extraHeader", self.port);
        let field = format!("{scope}=Cookie: {cookie}");
        let mut all = match cookie {
            "" => Vec::new(),
            _ => vec!["-c", &field],
        };
        all.extend(arguments);
        Client::at_home(&self.home).run(&all).unwrap()
    }

    fn git(&self, cookie: &str, arguments: &[&str]) -> String {
        let output = self.run(cookie, arguments);
        let said = said(&output);
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    fn refused(&self, cookie: &str, arguments: &[&str]) -> String {
        let output = self.run(cookie, arguments);
        assert!(!output.status.success(), "{arguments:?}");
        said(&output)
    }

    /// Fills the repository without Bitgate, in a clone of that name.
    fn fill(&self, directory: &str, content: &[u8]) {
        {
            let mut bitbucket = self.bitbucket();
            bitbucket.settings.web_host = self.provider.address().to_string();
        }
        let host = self.provider.address().to_string();
        let address = address_for("x-token-auth", FILLER, &host, WIDGETS);
        self.git("", &["clone", "--quiet", &address, directory]);
        self.commit(directory, "file", content);
        self.git(
            "",
            &["-C", directory, "push", "--quiet", "origin", "HEAD:main"],
        );
        self.bitbucket().settings.web_host = "127.0.0.1:10001".to_owned();
    }

    fn commit(&self, directory: &str, file: &str, content: &[u8]) {
        std::fs::write(self.home.join(directory).join(file), content).unwrap();
        self.git("", &["-C", directory, "add", "."]);
        self.git("", &["-C", directory, "commit", "--quiet", "-m", file]);
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
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
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()
    });
    words.flatten().take(length).collect()
}

#[test]
fn who_may_read_fetches_and_who_may_write_pushes() {
    let site = Site::start("rights");
    site.fill("filler", b"first");
    let address = site.address();
    let (grace, linus) = (site.sign_in("grace"), site.sign_in("linus"));
    site.git(&grace, &["clone", "--quiet", &address, "one"]);
    site.commit("one", "file", b"second");
    site.git(
        &grace,
        &["-C", "one", "push", "--quiet", "origin", "HEAD:main"],
    );
    site.git(&linus, &["clone", "--quiet", &address, "two"]);
    assert_eq!(
        std::fs::read(site.home.join("two/file")).unwrap(),
        b"second"
    );
    site.git(
        &linus,
        &["clone", "--quiet", "--depth=1", &address, "shallow"],
    );
    site.git(
        &linus,
        &["-C", "shallow", "fetch", "--quiet", "--unshallow"],
    );
    site.git(
        &linus,
        &[
            "clone",
            "--quiet",
            "--no-checkout",
            "--filter=blob:none",
            &address,
            "partial",
        ],
    );
    let missing = [
        "-C",
        "partial",
        "rev-list",
        "--objects",
        "--missing=print",
        "HEAD",
    ];
    assert!(site.git(&linus, &missing).contains('?'));
    site.git(&linus, &["-C", "partial", "checkout", "--quiet", "main"]);

    site.commit("two", "file", b"mine");
    let before = site
        .bitbucket()
        .count("/{workspace}/{repository}.git/git-receive-pack");
    let said = site.refused(&linus, &["-C", "two", "push", "origin", "HEAD:main"]);
    assert!(said.contains("403"), "{said}");
    let said = site.refused("", &["clone", &address, "three"]);
    assert!(said.contains("could not read Username"), "{said}");
    let secrets = address.replace("widgets", "secrets");
    let said = site.refused(&linus, &["clone", &secrets, "three"]);
    assert!(said.contains("403"), "{said}");

    let bitbucket = site.bitbucket();
    let after = bitbucket.count("/{workspace}/{repository}.git/git-receive-pack");
    assert_eq!(before, after, "what is refused does not reach Bitbucket");
    let git = bitbucket.ledger().iter();
    let git = git.filter(|entry| entry.kind.starts_with("/{workspace}/{repository}.git/"));
    let through = git.filter(|entry| entry.host == "127.0.0.1:10001");
    let through: Vec<_> = through.collect();
    // Rules do not see the query: who begins a push asks Bitbucket, with their own token.
    let refused: Vec<_> = through.iter().filter(|entry| entry.status != 200).collect();
    assert_eq!((refused.len(), refused[0].status), (1, 403));
    assert!(refused[0].path.ends_with("/info/refs"));
    for entry in &through {
        assert_eq!(entry.credential, CredentialKind::OAuth, "{}", entry.path);
        assert_eq!(entry.user.as_deref(), Some("x-token-auth"));
        assert!(!entry.headers.iter().any(|name| name == "cookie"));
    }
    // Fetches speak version 2 of the protocol, of which a header says so.
    let mut fetches = through.iter();
    assert!(fetches.all(|entry| {
        let has_protocol = entry.headers.iter().any(|name| name == "git-protocol");
        has_protocol || !entry.path.ends_with("/git-upload-pack")
    }));
}

#[test]
fn bodies_of_any_size_pass_as_they_are() {
    let site = Site::start("large");
    site.fill("filler", b"first");
    let (address, grace) = (site.address(), site.sign_in("grace"));
    site.git(&grace, &["clone", "--quiet", &address, "one"]);
    site.commit("one", "large", &noise(100 * 1_024 * 1_024));
    for number in 0..40 {
        site.commit("one", "file", format!("{number}").as_bytes());
        site.git("", &["-C", "one", "branch", &format!("branch-{number}")]);
    }
    site.git(&grace, &["-C", "one", "push", "--quiet", "--all", "origin"]);
    site.git(&grace, &["clone", "--quiet", &address, "two"]);
    let large = std::fs::read(site.home.join("two/large")).unwrap();
    assert!(large == noise(large.len()) && large.len() == 100 * 1_024 * 1_024);
    let bitbucket = site.bitbucket();
    let has = |path: &str, header: &str| {
        let mut entries = bitbucket.ledger().iter();
        entries.any(|entry| {
            entry.host == "127.0.0.1:10001"
                && entry.path.ends_with(path)
                && entry.headers.iter().any(|name| name == header)
        })
    };
    assert!(has("/git-receive-pack", "transfer-encoding"), "chunked");
    assert!(has("/git-upload-pack", "content-encoding"), "compressed");
}

#[test]
fn who_asks_whether_to_send_hears_it_from_who_decides() {
    let site = Site::start("expect");
    site.fill("filler", b"first");
    let ask = |cookie: &str| {
        let mut stream = TcpStream::connect(site.envoy.listener).unwrap();
        let head = format!(
            "POST {WIDGETS}/git-receive-pack HTTP/1.1\r\nhost: localhost:{}\r\ncookie: {cookie}\r\n\
             content-type: application/x-git-receive-pack-request\r\nuser-agent: git/2.47.3\r\n\
             transfer-encoding: chunked\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
            site.port
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut first = [0; 12];
        stream.read_exact(&mut first).unwrap();
        if first == *b"HTTP/1.1 100" {
            stream.write_all(b"4\r\n0000\r\n0\r\n\r\n").unwrap();
        }
        let mut rest = String::new();
        stream.read_to_string(&mut rest).unwrap();
        (String::from_utf8_lossy(&first).into_owned(), rest)
    };
    let (first, rest) = ask(&site.sign_in("grace"));
    assert_eq!(first, "HTTP/1.1 100");
    assert!(
        rest.contains("HTTP/1.1 200") && rest.contains("git-receive-pack-result"),
        "{rest}"
    );
    assert_eq!(ask(&site.sign_in("linus")).0, "HTTP/1.1 403");
    assert_eq!(ask("").0, "HTTP/1.1 401");
    let bitbucket = site.bitbucket();
    let asked = bitbucket.ledger().iter().filter(|entry| {
        entry.host == "127.0.0.1:10001" && entry.headers.iter().any(|name| name == "expect")
    });
    assert_eq!(asked.count(), 1);
}

#[test]
fn objects_of_lfs_go_to_their_own_host_with_their_own_header() {
    let site = Site::start("lfs");
    site.fill("filler", b"first");
    let (address, grace) = (site.address(), site.sign_in("grace"));
    site.git("", &["lfs", "install"]);
    site.git(&grace, &["clone", "--quiet", &address, "one"]);
    site.git("", &["-C", "one", "lfs", "track", "*.bin"]);
    let content = noise(10 * 1_024 * 1_024);
    site.commit("one", "large.bin", &content);
    site.git(
        &grace,
        &["-C", "one", "push", "--quiet", "origin", "HEAD:main"],
    );
    let linus = site.sign_in("linus");
    site.git(&linus, &["clone", "--quiet", &address, "two"]);
    assert!(std::fs::read(site.home.join("two/large.bin")).unwrap() == content);
    let bitbucket = site.bitbucket();
    let media = bitbucket.ledger().iter();
    let media = media.filter(|entry| entry.kind == "/_media/{object}");
    for entry in media.clone() {
        assert_eq!(
            (entry.credential, entry.status),
            (CredentialKind::Media, 200)
        );
        assert!(!entry.headers.iter().any(|name| name == "cookie"));
    }
    assert_eq!(media.count(), 3, "in, verified, out");
    let batches = bitbucket.count("/{workspace}/{repository}.git/info/lfs/objects/batch");
    assert_eq!(batches, 2);
}
