//! Real git, and git-lfs, against the simulator alone.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Output;
use std::sync::{Arc, Mutex, MutexGuard};

use bitgate_simulator::bitbucket::{
    AccessToken, AccessTokenKind, ApiToken, Bitbucket, CredentialKind, Settings,
};
use bitgate_simulator::git::{Client, Folder, Git, address_for, basic};
use bitgate_simulator::server::{self, Running};
use bitgate_simulator::{Request, Response, client};
use serde_json::{Value, json};

const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";
const WIDGETS: &str = "{99cc0000-1111-4222-8333-444455556666}";
const REFS: &str = "/{workspace}/{repository}.git/info/refs";
const WRITER: &str = "ATCT-writer";
const READER: &str = "ATCT-reader";

/// A simulator with its repositories, and somebody's home.
struct World {
    bitbucket: Arc<Mutex<Bitbucket>>,
    running: Running,
    folder: Folder,
    home: PathBuf,
}

impl World {
    fn new(name: &str) -> Self {
        let token = |token: &str, scope: &str| AccessToken {
            token: token.to_owned(),
            kind: AccessTokenKind::Workspace,
            workspace: ACME.to_owned(),
            scopes: vec![scope.to_owned()],
            is_admin: false,
            expires_at: None,
            api_limit: None,
        };
        let settings = Settings {
            access_tokens: vec![
                token(WRITER, "repository:write"),
                token(READER, "repository"),
            ],
            ..Settings::default()
        };
        let bitbucket = Arc::new(Mutex::new(Bitbucket::new(settings)));
        let folder = Folder::create().unwrap();
        let git = Arc::new(Git::new(Arc::clone(&bitbucket), &folder));
        let handler = Arc::clone(&bitbucket);
        let any = ([127, 0, 0, 1], 0).into();
        let running = server::spawn_with_git(any, &git, move |now, request| {
            handler.lock().unwrap().handle(now, &request)
        });
        let running = running.unwrap();
        let host = running.address().to_string();
        {
            let settings = &mut bitbucket.lock().unwrap().settings;
            settings.web_host.clone_from(&host);
            settings.media_host = host;
        }
        let home = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
        let home = home.join(format!("git-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        Self {
            bitbucket,
            running,
            folder,
            home,
        }
    }

    fn bitbucket(&self) -> MutexGuard<'_, Bitbucket> {
        self.bitbucket.lock().unwrap()
    }

    fn host(&self) -> String {
        self.running.address().to_string()
    }

    fn address(&self, token: &str, path: &str) -> String {
        address_for("x-token-auth", token, &self.host(), path)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Client::at_home(&self.home).run(arguments).unwrap()
    }

    /// Runs git, which has to succeed; what it said.
    fn git(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let said = said(&output);
        assert!(output.status.success(), "{arguments:?}: {said}");
        said
    }

    /// Runs git, which has to fail; what it said.
    fn refused(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        said(&output)
    }

    /// A clone with one commit of `content`, pushed.
    fn seeded(&self, directory: &str, path: &str, content: &[u8]) {
        self.git(&["clone", "--quiet", &self.address(WRITER, path), directory]);
        self.commit(directory, "file", content);
        self.git(&["-C", directory, "push", "--quiet", "origin", "HEAD:main"]);
    }

    fn commit(&self, directory: &str, file: &str, content: &[u8]) {
        std::fs::write(self.home.join(directory).join(file), content).unwrap();
        self.git(&["-C", directory, "add", "."]);
        self.git(&["-C", directory, "commit", "--quiet", "-m", file]);
    }

    fn send(&self, request: Request) -> Response {
        client::send(self.running.address(), request).unwrap()
    }
}

impl Drop for World {
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
fn a_repository_is_cloned_fetched_and_pushed() {
    let world = World::new("basics");
    world.seeded("one", "/acme/widgets.git", b"first");
    let reader = world.address(READER, "/acme/widgets");
    world.git(&["clone", "--quiet", &reader, "two"]);
    assert_eq!(
        std::fs::read(world.home.join("two/file")).unwrap(),
        b"first"
    );
    world.commit("one", "file", b"second");
    world.git(&[
        "-C",
        "one",
        "push",
        "--quiet",
        "origin",
        "HEAD:main",
        "HEAD:other",
    ]);
    world.git(&["-C", "two", "pull", "--quiet"]);
    assert_eq!(
        std::fs::read(world.home.join("two/file")).unwrap(),
        b"second"
    );
    let branches = world.git(&["-C", "two", "branch", "--remotes"]);
    assert!(branches.contains("origin/other"), "{branches}");
    world.git(&["clone", "--quiet", "--depth=1", &reader, "shallow"]);
    assert_eq!(
        world
            .git(&["-C", "shallow", "rev-list", "--count", "HEAD"])
            .trim(),
        "1"
    );
    world.git(&[
        "clone",
        "--quiet",
        "--no-checkout",
        "--filter=blob:none",
        &reader,
        "partial",
    ]);
    let missing = [
        "-C",
        "partial",
        "rev-list",
        "--objects",
        "--missing=print",
        "HEAD",
    ];
    assert!(world.git(&missing).contains('?'), "blobs are left out");
    world.git(&["-C", "partial", "checkout", "--quiet", "main"]);
    world.git(&["-C", "shallow", "fetch", "--quiet", "--unshallow"]);
    world.git(&[
        "-c",
        "protocol.version=0",
        "clone",
        "--quiet",
        &reader,
        "old",
    ]);

    let bitbucket = world.bitbucket();
    let refs = bitbucket.ledger().iter().filter(|entry| entry.kind == REFS);
    let mut kinds: Vec<CredentialKind> = refs.clone().map(|entry| entry.credential).collect();
    kinds.sort_unstable();
    kinds.dedup();
    // Each began without a credential.
    assert_eq!(kinds, [CredentialKind::AccessToken, CredentialKind::None]);
    let has_protocol = |name: &String| name == "git-protocol";
    assert!(
        refs.clone()
            .any(|entry| entry.headers.iter().any(has_protocol))
    );
    assert!(world.folder.repository(WIDGETS).join("HEAD").exists());
}

#[test]
fn git_is_told_why_not() {
    let world = World::new("refusals");
    world.seeded("one", "/acme/widgets.git", b"first");
    let head = ["-C", "one", "rev-parse", "HEAD"];
    world.commit("one", "file", b"second");
    let reader = world.address(READER, "/acme/widgets.git");
    let said = world.refused(&["-C", "one", "push", &reader, "HEAD:main"]);
    assert!(
        said.contains("remote: You may read this repository") && said.contains("403"),
        "{said}"
    );
    let plain = format!("http://{}/acme/widgets.git", world.host());
    let said = world.refused(&["clone", &plain, "two"]);
    assert!(said.contains("could not read Username"), "{said}");
    let foreign = world.address(READER, "/beta-labs/lab.git");
    let said = world.refused(&["clone", &foreign, "two"]);
    assert!(
        said.contains("not found") && said.contains("remote: The requested repository"),
        "{said}"
    );
    let app_password = address_for("ada", "ATBBx", &world.host(), "/acme/widgets.git");
    let said = world.refused(&["clone", &app_password, "two"]);
    assert!(
        said.contains("remote: App passwords are deprecated") && said.contains("410"),
        "{said}"
    );
    let wrong = world.refused(&[
        "clone",
        &world.address("ATCT-x", "/acme/widgets.git"),
        "two",
    ]);
    assert!(wrong.contains("Authentication failed"), "{wrong}");
    // A public one needs nothing, to be read.
    world.seeded("site", "/acme/website.git", b"page");
    let website = format!("http://{}/acme/website.git", world.host());
    world.git(&["clone", "--quiet", &website, "public"]);
    world.commit("public", "file", b"mine");
    world.refused(&["-C", "public", "push", "origin", "HEAD:main"]);
    // Nothing of it arrived.
    let local = world.git(&head);
    let remote = world.git(&["ls-remote", &reader, "refs/heads/main"]);
    assert!(!remote.starts_with(local.trim()), "{remote}");
}

#[test]
fn people_come_with_their_api_token() {
    let world = World::new("people");
    world.seeded("one", "/acme/widgets.git", b"first");
    let ada = {
        let mut bitbucket = world.bitbucket();
        let account_id = bitbucket.settings.people[0].account_id.clone();
        bitbucket.settings.api_tokens = vec![ApiToken {
            token: "ATATT-ada".to_owned(),
            account_id,
            scopes: vec!["read:repository:bitbucket".to_owned()],
            expires_at: None,
        }];
        "ATATT-ada"
    };
    for user in ["ada", "x-bitbucket-api-token-auth"] {
        let address = address_for(user, ada, &world.host(), "/acme/widgets.git");
        world.git(&["ls-remote", &address]);
        let said = world.refused(&["-C", "one", "push", &address, "HEAD:x"]);
        assert!(said.contains("403"), "{said}");
    }
    let bitbucket = world.bitbucket();
    let with_it = bitbucket.ledger().iter();
    let with_it = with_it.filter(|entry| entry.credential == CredentialKind::ApiToken);
    assert!(
        with_it
            .filter(|entry| entry.user.as_deref() == Some("ada"))
            .count()
            > 0
    );
}

#[test]
fn large_and_packed_bodies_stream_through() {
    let world = World::new("large");
    world.seeded("one", "/acme/widgets.git", &noise(100 * 1_024 * 1_024));
    // Many wants make a request that git compresses.
    for number in 0..60 {
        world.commit("one", "file", format!("{number}").as_bytes());
        world.git(&["-C", "one", "branch", &format!("branch-{number}")]);
    }
    world.git(&["-C", "one", "push", "--quiet", "--all", "origin"]);
    let reader = world.address(READER, "/acme/widgets.git");
    world.git(&["clone", "--quiet", &reader, "two"]);
    let ancestors = world.git(&["-C", "two", "rev-list", "--count", "origin/branch-59"]);
    assert_eq!(ancestors.trim(), "61");
    let bitbucket = world.bitbucket();
    let has = |kind: &str, header: &str| {
        let mut entries = bitbucket.ledger().iter();
        entries.any(|entry| {
            entry.path.ends_with(kind) && entry.headers.iter().any(|name| name == header)
        })
    };
    assert!(has("/git-receive-pack", "transfer-encoding"), "chunked");
    assert!(has("/git-upload-pack", "content-encoding"), "compressed");
}

#[test]
fn who_asks_whether_to_send_is_told() {
    let world = World::new("expect");
    world.seeded("one", "/acme/widgets.git", b"first");
    let ask = |authorization: &str| {
        let mut stream = TcpStream::connect(world.running.address()).unwrap();
        let head = format!(
            "POST /acme/widgets.git/git-receive-pack HTTP/1.1\r\nhost: {}\r\n{authorization}\
             content-type: application/x-git-receive-pack-request\r\n\
             transfer-encoding: chunked\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n",
            world.host()
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
    let field = format!("authorization: {}\r\n", basic("x-token-auth", WRITER));
    let (first, rest) = ask(&field);
    assert_eq!(first, "HTTP/1.1 100");
    assert!(
        rest.contains("HTTP/1.1 200") && rest.contains("git-receive-pack-result"),
        "{rest}"
    );
    assert_eq!(ask("").0, "HTTP/1.1 401");
}

fn batch(world: &World, token: &str, operation: &str, oid: &str) -> Value {
    let body = json!({
        "operation": operation,
        "transfers": ["basic"],
        "objects": [{"oid": oid, "size": 5}],
    });
    let request = http::Request::post("/acme/widgets.git/info/lfs/objects/batch")
        .header("host", world.host())
        .header("authorization", basic("x-token-auth", token))
        .header("content-type", "application/vnd.git-lfs+json");
    let answer = world.send(request.body(body.to_string().into_bytes()).unwrap());
    assert_eq!(answer.status(), 200);
    serde_json::from_slice::<Value>(answer.body()).unwrap()["objects"][0].clone()
}

#[test]
fn objects_of_lfs_have_a_host_and_a_header_of_their_own() {
    let world = World::new("media");
    // Of "hello".
    let oid = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    assert_eq!(batch(&world, READER, "download", oid)["error"]["code"], 404);
    let actions = batch(&world, WRITER, "upload", oid)["actions"].clone();
    let send = |method: &str, action: &Value, authorization: Option<&str>, body: &[u8]| {
        let href = action["href"].as_str().unwrap();
        let own = action["header"]["Authorization"].as_str().unwrap();
        let path = href
            .strip_prefix(&format!("http://{}", world.host()))
            .unwrap();
        let request = http::Request::builder()
            .method(method)
            .uri(path)
            .header("host", world.host())
            .header("authorization", authorization.unwrap_or(own));
        let answer = world.send(request.body(body.to_vec()).unwrap());
        (answer.status().as_u16(), answer.into_body())
    };
    let (upload, verify) = (&actions["upload"], &actions["verify"]);
    assert_eq!(send("POST", verify, None, b"").0, 404);
    assert_eq!(send("PUT", upload, None, b"other").0, 422);
    for foreign in [
        "Bearer ATCT-writer",
        "Bearer media-0",
        &basic("x-token-auth", WRITER),
    ] {
        assert_eq!(
            send("PUT", upload, Some(foreign), b"hello").0,
            403,
            "{foreign}"
        );
    }
    assert_eq!(send("PUT", upload, None, b"hello").0, 200);
    assert_eq!(send("POST", verify, None, b"").0, 200);
    assert_eq!(batch(&world, WRITER, "upload", oid).get("actions"), None);
    let actions = batch(&world, READER, "download", oid)["actions"].clone();
    assert_eq!(
        send("GET", &actions["download"], None, b""),
        (200, b"hello".to_vec())
    );
    assert_eq!(send("DELETE", &actions["download"], None, b"").0, 405);
    let bad = batch(&world, WRITER, "upload", "../../config");
    assert_eq!(bad["error"]["code"], 422);
    let bitbucket = world.bitbucket();
    let seen = bitbucket.credentials().get(&(CredentialKind::Media, 200));
    assert_eq!(seen, Some(&3));
}

#[test]
fn git_lfs_pushes_and_pulls() {
    let world = World::new("lfs");
    world.git(&["lfs", "install"]);
    let writer = world.address(WRITER, "/acme/widgets.git");
    world.git(&["clone", "--quiet", &writer, "one"]);
    world.git(&["-C", "one", "lfs", "track", "*.bin"]);
    let content = noise(20 * 1_024 * 1_024);
    world.commit("one", "large.bin", &content);
    world.git(&["-C", "one", "push", "--quiet", "origin", "HEAD:main"]);
    let reader = world.address(READER, "/acme/widgets.git");
    world.git(&["clone", "--quiet", &reader, "two"]);
    assert!(std::fs::read(world.home.join("two/large.bin")).unwrap() == content);
    let pointer = world.git(&["-C", "two", "show", "HEAD:large.bin"]);
    assert!(pointer.starts_with("version https://git-lfs.github.com/spec/v1"));
    assert_eq!(
        world.bitbucket().count("/_media/{object}"),
        3,
        "in, verified, out"
    );
}
