//! Objects of LFS: files that are streamed in and out, and whose name is their content's SHA-256.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use sha2::{Digest, Sha256};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;

use super::folder::{Repositories, objects_of};
use crate::bitbucket::MediaRequest;
use crate::body::{self, Body, Stream};
use crate::{Request, response};

static NEXT: AtomicU64 = AtomicU64::new(0);

pub(super) async fn answer(
    repositories: &Repositories,
    opened: &MediaRequest,
    request: &Request,
    body: Incoming,
) -> io::Result<http::Response<Body>> {
    let objects = objects_of(&repositories.at(&opened.repository));
    let path = objects.join(&opened.oid);
    let said = |status, text: &str| Ok(body::plain(response(status, "text/plain", text)));
    match (request.method().as_str(), opened.is_verify) {
        ("GET", false) => match File::open(&path).await {
            Ok(file) => download(file).await,
            Err(_) => said(404, "There is no such object\n"),
        },
        ("PUT", false) => match upload(&objects, &opened.oid, body).await? {
            true => said(200, ""),
            false => said(422, "The object has another SHA-256\n"),
        },
        ("POST", true) => match path.exists() {
            true => said(200, ""),
            false => said(404, "There is no such object\n"),
        },
        (_, _) => said(405, "Method not allowed\n"),
    }
}

async fn download(file: File) -> io::Result<http::Response<Body>> {
    let length = file.metadata().await?.len();
    let mut answer = http::Response::new(Stream::body(file, ()));
    let headers = answer.headers_mut();
    let octets = http::HeaderValue::from_static("application/octet-stream");
    headers.insert("content-type", octets);
    headers.insert("content-length", length.into());
    Ok(answer)
}

/// Whether it is what its name says. It has its name only then.
async fn upload(objects: &Path, oid: &str, mut body: Incoming) -> io::Result<bool> {
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let part = objects.join(format!("part-{number}"));
    let mut file = File::create(&part).await?;
    let mut digest = Sha256::new();
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame.map_err(io::Error::other)?.into_data() {
            digest.update(&data);
            file.write_all(&data).await?;
        }
    }
    file.flush().await?;
    let digest = digest.finalize();
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    if hex != oid {
        tokio::fs::remove_file(&part).await?;
        return Ok(false);
    }
    tokio::fs::rename(&part, objects.join(oid)).await?;
    Ok(true)
}
