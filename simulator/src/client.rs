//! Sends one request as it is: no redirect, no cookie, no header of its own.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{Request, Response};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Sends `request` over a new connection and waits for the whole answer.
///
/// # Errors
/// If there is no connection, or no complete answer within 30 seconds.
pub fn send(address: SocketAddr, request: Request) -> io::Result<Response> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let exchange = async {
        let stream = TcpStream::connect(address).await?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(1_024 * 1_024)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        tokio::spawn(connection);
        let request = request.map(|body| Full::new(Bytes::from(body)));
        let (head, body) = sender
            .send_request(request)
            .await
            .map_err(io::Error::other)?
            .into_parts();
        let body = body.collect().await.map_err(io::Error::other)?;
        Ok(http::Response::from_parts(head, body.to_bytes().to_vec()))
    };
    let limited = async { tokio::time::timeout(PATIENCE, exchange).await };
    runtime.block_on(limited).map_err(io::Error::other)?
}
