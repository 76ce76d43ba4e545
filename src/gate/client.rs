//! Who asks: what kind of client, and what it calls its request.

use crate::http::{Headers, Request, Unreadable};

/// The media type of what LFS says.
pub(super) const GIT_LFS: &str = "application/vnd.git-lfs+json";

/// What kind of answer a client can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// git: understands `Basic` and shows plain text.
    Git,
    /// git-lfs: understands `Basic` and shows the message of its own kind of JSON.
    GitLfs,
    /// gRPC: understands a status in a header and nothing else.
    Grpc,
    /// gRPC-Web: understands a status in a frame of the body.
    GrpcWeb,
    /// gRPC-Web, in base64.
    GrpcWebText,
    /// A person's browser that opens a page: only then is a redirect to sign in of any use.
    Navigation,
    /// Everything else: scripts of pages, frames, preflights, upgrades, curl. It gets JSON.
    Program,
}

impl Client {
    fn of(method: &str, headers: &Headers) -> Self {
        if let Some(grpc) = grpc(headers) {
            grpc
        } else if let Some(git) = git(headers) {
            git
        } else if is_navigation(method, headers) {
            Self::Navigation
        } else {
            Self::Program
        }
    }
}

/// Who gets an answer of ours.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asker<'a> {
    pub(super) client: Client,
    pub(super) request_id: Option<RequestId<'a>>,
}

impl<'a> From<&'a Request> for Asker<'a> {
    fn from(request: &'a Request) -> Self {
        Self {
            client: Client::of(&request.method, &request.headers),
            request_id: RequestId::of(&request.headers),
        }
    }
}

impl<'a> From<&'a Unreadable> for Asker<'a> {
    fn from(request: &'a Unreadable) -> Self {
        Self {
            client: Client::of(&request.method, &request.headers),
            request_id: RequestId::of(&request.headers),
        }
    }
}

/// The kinds of gRPC by their media types, alone or with a suffix such as `+proto`.
fn grpc(headers: &Headers) -> Option<Client> {
    const TYPES: [(&[u8], Client); 3] = [
        (b"application/grpc-web-text", Client::GrpcWebText),
        (b"application/grpc-web", Client::GrpcWeb),
        (b"application/grpc", Client::Grpc),
    ];
    headers.all("content-type").find_map(|value| {
        let is = |media_type: &[u8]| {
            value
                .split_at_checked(media_type.len())
                .is_some_and(|(head, rest)| {
                    head.eq_ignore_ascii_case(media_type)
                        && matches!(rest.first(), None | Some(b'+' | b';'))
                })
        };
        let found = TYPES.iter().find(|(media_type, _)| is(media_type));
        found.map(|(_, client)| *client)
    })
}

/// git names itself; a git that was told to call itself otherwise still speaks of its media types.
fn git(headers: &Headers) -> Option<Client> {
    let names = |name: &[u8]| {
        let is = |value: &[u8]| {
            let head = value.get(..name.len());
            head.is_some_and(|head| head.eq_ignore_ascii_case(name))
        };
        headers.all("user-agent").any(is)
    };
    let speaks = |media_type: &[u8]| {
        let is = |value: &[u8]| {
            value
                .windows(media_type.len())
                .any(|part| part == media_type)
        };
        headers.all("content-type").any(is) || headers.all("accept").any(is)
    };
    // Bodies of objects have no media type of LFS.
    if speaks(GIT_LFS.as_bytes()) || names(b"git-lfs/") {
        return Some(Client::GitLfs);
    }
    let is_git = names(b"git/")
        || names(b"jgit/")
        || headers.contains("git-protocol")
        || speaks(b"application/x-git-");
    is_git.then_some(Client::Git)
}

/// A GET or HEAD. Where the browser says what it does (W3C Fetch Metadata), that decides: no
/// script, no frame, no prefetch. Other clients must list `text/html`; `*/*` is not a wish for it.
pub(super) fn is_navigation(method: &str, headers: &Headers) -> bool {
    if !matches!(method, "GET" | "HEAD") {
        return false;
    }
    if headers.contains("upgrade") {
        return false;
    }
    let is_prefetch = ["sec-purpose", "purpose", "x-moz"].into_iter().any(|name| {
        headers
            .all(name)
            .any(|value| contains_word(value, "prefetch"))
    });
    if is_prefetch {
        return false;
    }
    if headers.contains("sec-fetch-mode") {
        let is_page = !headers.contains("sec-fetch-dest")
            || headers.single("sec-fetch-dest") == Some("document");
        return headers.single("sec-fetch-mode") == Some("navigate") && is_page;
    }
    headers.all("accept").any(|value| {
        value.split(|byte| *byte == b',').any(|range| {
            let media_type = range.split(|byte| *byte == b';').next().unwrap_or_default();
            media_type.trim_ascii().eq_ignore_ascii_case(b"text/html")
        })
    })
}

fn contains_word(value: &[u8], word: &str) -> bool {
    value
        .split(|byte| !byte.is_ascii_alphanumeric())
        .any(|part| part.eq_ignore_ascii_case(word.as_bytes()))
}

/// Envoy's id of the request, which it also writes into its access log.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId<'a>(&'a str);

impl<'a> RequestId<'a> {
    /// `None` if there is none, or one that is not a short visible word.
    pub(super) fn of(headers: &'a Headers) -> Option<Self> {
        let id = headers.single("x-request-id")?;
        let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
        let valid = (1..=64).contains(&id.len()) && id.bytes().all(is_word);
        valid.then_some(Self(id))
    }

    pub(super) fn as_str(&self) -> &'a str {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, headers: &[(&str, &str)]) -> Request {
        let mut fields = vec![
            (":method".to_owned(), method.as_bytes().to_vec()),
            (":authority".to_owned(), b"a.test".to_vec()),
            (":path".to_owned(), b"/".to_vec()),
        ];
        fields.extend(
            headers
                .iter()
                .map(|(n, v)| ((*n).to_owned(), v.as_bytes().to_vec())),
        );
        Request::read(fields).unwrap()
    }

    #[test]
    fn only_a_page_that_a_person_opens_is_a_navigation() {
        let html = ("accept", "text/html,application/xhtml+xml,*/*;q=0.8");
        let navigate = ("sec-fetch-mode", "navigate");
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], bool);
        let table: [Row<'_>; 19] = [
            ("GET", &[html], true),
            ("HEAD", &[html], true),
            (
                "GET",
                &[("accept", "application/json, TEXT/HTML ;q=0.1")],
                true,
            ),
            ("GET", &[navigate], true),
            ("GET", &[navigate, ("sec-fetch-dest", "document")], true),
            ("POST", &[html, navigate], false),
            ("OPTIONS", &[html], false),
            ("GET", &[], false),
            ("GET", &[("accept", "*/*")], false),
            ("GET", &[("accept", "text/htmlx")], false),
            ("GET", &[html, ("sec-fetch-mode", "cors")], false),
            (
                "GET",
                &[html, navigate, ("sec-fetch-dest", "iframe")],
                false,
            ),
            ("GET", &[html, navigate, ("sec-fetch-dest", "embed")], false),
            (
                "GET",
                &[html, navigate, ("sec-purpose", "prefetch;prerender")],
                false,
            ),
            ("GET", &[html, ("purpose", "prefetch")], false),
            ("GET", &[html, navigate, navigate], false),
            (
                "GET",
                &[
                    navigate,
                    ("sec-fetch-dest", "document"),
                    ("sec-fetch-dest", "iframe"),
                ],
                false,
            ),
            ("GET", &[html, ("upgrade", "websocket")], false),
            ("get", &[html], false),
        ];
        for (method, headers, expected) in table {
            assert_eq!(
                Asker::from(&request(method, headers)).client == Client::Navigation,
                expected,
                "{method} {headers:?}"
            );
        }
    }

    #[test]
    fn git_and_grpc_are_told_apart_by_what_they_say() {
        let table: [(&str, &str, Client); 17] = [
            ("user-agent", "git/2.39.5", Client::Git),
            (
                "user-agent",
                "git-lfs/3.3.0 (GitHub; linux amd64; go 1.19.8)",
                Client::GitLfs,
            ),
            ("user-agent", "JGit/6.5", Client::Git),
            ("git-protocol", "version=2", Client::Git),
            (
                "accept",
                "application/x-git-upload-pack-result",
                Client::Git,
            ),
            (
                "content-type",
                "application/vnd.git-lfs+json; charset=utf-8",
                Client::GitLfs,
            ),
            ("user-agent", "digit/1.0", Client::Program),
            ("user-agent", "curl/8", Client::Program),
            ("content-type", "application/grpc", Client::Grpc),
            ("content-type", "application/grpc+proto", Client::Grpc),
            ("content-type", "Application/gRPC; x=y", Client::Grpc),
            (
                "content-type",
                "application/grpc-web+proto",
                Client::GrpcWeb,
            ),
            (
                "content-type",
                "application/grpc-web-text",
                Client::GrpcWebText,
            ),
            ("content-type", "application/grpcx", Client::Program),
            ("content-type", "application/json", Client::Program),
            ("accept", "text/html", Client::Navigation),
            ("accept", "*/*", Client::Program),
        ];
        for (name, value, expected) in table {
            let client = Asker::from(&request("GET", &[(name, value)])).client;
            assert_eq!(client, expected, "{name}: {value}");
        }
    }

    #[test]
    fn a_request_id_is_a_short_word() {
        for (id, valid) in [
            ("3f0c-11", true),
            ("", false),
            ("a b", false),
            ("<b>", false),
        ] {
            let request = request("GET", &[("x-request-id", id)]);
            assert_eq!(RequestId::of(&request.headers).is_some(), valid, "{id}");
        }
    }
}
