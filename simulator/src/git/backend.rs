//! `git http-backend`: a process for each request, spoken to as RFC 3875 says, with both bodies
//! streamed.

use std::io;
use std::path::Path;
use std::process::Stdio;

use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::ChildStdin;

use super::folder::git;
use crate::Request;
use crate::bitbucket::Resource;
use crate::body::{Body, Stream};

/// The most lines of an answer's head.
const MAX_HEAD_LINES: usize = 64;

/// Lets git answer.
pub(super) async fn run(
    repository: &Path,
    resource: Resource,
    request: &Request,
    body: Incoming,
) -> io::Result<http::Response<Body>> {
    let (Some(root), Some(name)) = (repository.parent(), repository.file_name()) else {
        return Err(io::Error::other("no repository"));
    };
    let service = match resource {
        Resource::ReceivePack => "git-receive-pack",
        Resource::UploadPack => "git-upload-pack",
        _ => "info/refs",
    };
    let mut command = git(root);
    command
        .arg("http-backend")
        .env("GATEWAY_INTERFACE", "CGI/1.1")
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROJECT_ROOT", root)
        .env("PATH_INFO", format!("/{}/{service}", name.display()))
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("REMOTE_ADDR", "127.0.0.1")
        .env("REMOTE_USER", "simulated")
        .env("REQUEST_METHOD", request.method().as_str())
        .env("SERVER_PROTOCOL", "HTTP/1.1");
    for (name, variable) in [
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("content-length", "CONTENT_LENGTH"),
        ("content-type", "CONTENT_TYPE"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = request.headers().get(name).and_then(|v| v.to_str().ok()) {
            command.env(variable, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
        return Err(io::Error::other("no pipe"));
    };
    tokio::spawn(feed(body, input));
    let mut output = BufReader::new(output);
    let mut answer = read_head(&mut output).await?;
    // The process ends with the body, whoever ends that.
    *answer.body_mut() = Some(Stream::body(output, child));
    let (head, body) = answer.into_parts();
    let body = body.ok_or_else(|| io::Error::other("no body"))?;
    Ok(http::Response::from_parts(head, body))
}

/// Git reads as much as it wants, and may end before the client does.
async fn feed(mut body: Incoming, mut input: ChildStdin) {
    while let Some(Ok(frame)) = body.frame().await {
        if let Ok(data) = frame.into_data()
            && input.write_all(&data).await.is_err()
        {
            return;
        }
    }
}

/// RFC 3875 section 6.
async fn read_head(
    output: &mut (impl AsyncBufRead + Unpin),
) -> io::Result<http::Response<Option<Body>>> {
    let malformed = || io::Error::other("malformed answer");
    let mut answer = http::Response::new(None);
    for _ in 0..MAX_HEAD_LINES {
        let mut line = String::new();
        output.read_line(&mut line).await?;
        let field = line.strip_suffix("\r\n").or(line.strip_suffix('\n'));
        let field = field.ok_or_else(malformed)?;
        if field.is_empty() {
            return Ok(answer);
        }
        let (name, value) = field.split_once(": ").ok_or_else(malformed)?;
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().unwrap_or_default();
            *answer.status_mut() = code.parse().map_err(io::Error::other)?;
            continue;
        }
        let name: http::HeaderName = name.parse().map_err(io::Error::other)?;
        let value = value.parse().map_err(io::Error::other)?;
        answer.headers_mut().append(name, value);
    }
    Err(malformed())
}
