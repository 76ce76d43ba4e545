//! Serves a function over HTTP/1.1, with the real clock.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::body::{self, Body};
use crate::git::Git;
use crate::{Request, Response, response};

/// A server on threads of its own; it ends with this value.
#[derive(Debug)]
pub struct Running {
    address: SocketAddr,
    runtime: Option<Runtime>,
}

impl Running {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves `handler` at `address`; port 0 takes a free one. The handler gets the time in seconds
/// since 1970, and may block.
///
/// # Errors
/// If the address cannot be listened at.
pub fn spawn<H>(address: SocketAddr, handler: H) -> io::Result<Running>
where
    H: Fn(u64, Request) -> Response + Send + Sync + 'static,
{
    serve(address, handler, None)
}

/// As [`spawn`], with the repositories of [`Git`] before the handler.
///
/// # Errors
/// If the address cannot be listened at.
pub fn spawn_with_git<H>(address: SocketAddr, git: &Arc<Git>, handler: H) -> io::Result<Running>
where
    H: Fn(u64, Request) -> Response + Send + Sync + 'static,
{
    serve(address, handler, Some(Arc::clone(git)))
}

fn serve<H>(address: SocketAddr, handler: H, git: Option<Arc<Git>>) -> io::Result<Running>
where
    H: Fn(u64, Request) -> Response + Send + Sync + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind(address))?;
    let address = listener.local_addr()?;
    let handler = Arc::new(handler);
    runtime.spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let (handler, git) = (Arc::clone(&handler), git.clone());
            tokio::spawn(async move {
                let service =
                    service_fn(move |request| dispatch(Arc::clone(&handler), git.clone(), request));
                // A client that goes away is none of our business.
                let _ = http1::Builder::new()
                    .max_buf_size(256 * 1_024)
                    .serve_connection(TokioIo::new(stream), service)
                    .await;
            });
        }
    });
    Ok(Running {
        address,
        runtime: Some(runtime),
    })
}

async fn dispatch<H>(
    handler: Arc<H>,
    git: Option<Arc<Git>>,
    request: http::Request<Incoming>,
) -> io::Result<http::Response<Body>>
where
    H: Fn(u64, Request) -> Response + Send + Sync + 'static,
{
    match git {
        Some(git) if git.claims(&request) => git.answer(request).await,
        _ => answer(handler, request).await,
    }
}

async fn answer<H>(
    handler: Arc<H>,
    request: http::Request<Incoming>,
) -> io::Result<http::Response<Body>>
where
    H: Fn(u64, Request) -> Response + Send + Sync + 'static,
{
    let (head, body) = request.into_parts();
    let Some(body) = body::whole(body).await else {
        return Ok(body::too_large());
    };
    let request = http::Request::from_parts(head, body);
    let now = now();
    let answered = tokio::task::spawn_blocking(move || handler(now, request)).await;
    let answer = answered.unwrap_or_else(|_| response(500, "text/plain", "the handler failed\n"));
    body::on_the_wire(answer).await
}

/// Waits for SIGINT or SIGTERM.
pub fn wait_for_the_end() {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
    else {
        return;
    };
    runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(mut terminate) = signal(SignalKind::terminate()) else {
            return;
        };
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = terminate.recv() => {}
        }
    });
}

#[expect(clippy::disallowed_methods, reason = "a server runs on the real clock")]
pub(crate) fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
