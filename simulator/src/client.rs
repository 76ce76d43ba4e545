//! Sends one request as it is: no redirect, no cookie, no header of its own.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;

use crate::{Request, Response};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is spoken on the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2 without TLS, with prior knowledge (RFC 9113 section 3.3).
    Http2,
}

/// Sends `request` over a new connection of HTTP/1.1 and waits for the whole answer.
///
/// # Errors
/// If there is no connection, or no complete answer within 30 seconds.
pub fn send(address: SocketAddr, request: Request) -> io::Result<Response> {
    send_over(Protocol::Http1, address, request)
}

/// [`send`], over the protocol of your choice.
///
/// # Errors
/// As [`send`].
pub fn send_over(
    protocol: Protocol,
    address: SocketAddr,
    request: Request,
) -> io::Result<Response> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let exchange = async {
        let stream = TokioIo::new(TcpStream::connect(address).await?);
        let answer = match protocol {
            Protocol::Http1 => over_http1(stream, request).await,
            Protocol::Http2 => over_http2(stream, request).await,
        };
        let (head, body) = answer.map_err(io::Error::other)?.into_parts();
        let body = body.collect().await.map_err(io::Error::other)?;
        Ok(http::Response::from_parts(head, body.to_bytes().to_vec()))
    };
    let limited = async { tokio::time::timeout(PATIENCE, exchange).await };
    runtime.block_on(limited).map_err(io::Error::other)?
}

/// Sends all requests at once, each over a connection of its own, and waits for all answers.
///
/// # Errors
/// If there is no runtime to do it in. Each request has its own result.
pub fn send_all(
    address: SocketAddr,
    requests: Vec<Request>,
) -> io::Result<Vec<io::Result<Response>>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let send = |request| async move {
        let exchange = async {
            let stream = TokioIo::new(TcpStream::connect(address).await?);
            let answer = over_http1(stream, request)
                .await
                .map_err(io::Error::other)?;
            let (head, body) = answer.into_parts();
            let body = body.collect().await.map_err(io::Error::other)?;
            Ok(http::Response::from_parts(head, body.to_bytes().to_vec()))
        };
        let limited = tokio::time::timeout(PATIENCE, exchange).await;
        limited.map_err(io::Error::other)?
    };
    runtime.block_on(async {
        let sent: Vec<_> = requests
            .into_iter()
            .map(|request| tokio::spawn(send(request)))
            .collect();
        let mut answers = Vec::with_capacity(sent.len());
        for one in sent {
            answers.push(
                one.await
                    .map_err(io::Error::other)
                    .and_then(|answer| answer),
            );
        }
        Ok(answers)
    })
}

async fn over_http1(
    stream: TokioIo<TcpStream>,
    request: Request,
) -> hyper::Result<http::Response<Incoming>> {
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(1_024 * 1_024)
        .handshake(stream)
        .await?;
    tokio::spawn(connection);
    let request = request.map(|body| Full::new(Bytes::from(body)));
    sender.send_request(request).await
}

async fn over_http2(
    stream: TokioIo<TcpStream>,
    mut request: Request,
) -> hyper::Result<http::Response<Incoming>> {
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(1_024 * 1_024)
        .handshake(stream)
        .await?;
    tokio::spawn(connection);
    // HTTP/2 has no Host field of its own: it is the authority of the target.
    if let Some(host) = request.headers_mut().remove("host") {
        let target = request
            .uri()
            .path_and_query()
            .map_or("/", |target| target.as_str());
        let host = host.to_str().unwrap_or_default();
        if let Ok(uri) = format!("http://{host}{target}").parse() {
            *request.uri_mut() = uri;
        }
    }
    let request = request.map(|body| Full::new(Bytes::from(body)));
    sender.send_request(request).await
}
