//! Bodies on their way: whole ones, and ones that nobody holds as a whole.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Frame, Incoming};
use tokio::io::{AsyncRead, ReadBuf};

use crate::bitbucket::Wire;
use crate::{Response, response};

/// The most bytes of a body that is held as a whole.
const MAX_BODY_BYTES: usize = 16 * 1_024 * 1_024;
/// How much of a stream is read at once.
const CHUNK_BYTES: usize = 64 * 1_024;

/// The body of an answer.
pub(crate) type Body = UnsyncBoxBody<Bytes, io::Error>;

/// A body as a whole, unless it is too large or the client goes away.
pub(crate) async fn whole(body: Incoming) -> Option<Vec<u8>> {
    let collected = Limited::new(body, MAX_BODY_BYTES).collect().await;
    collected.ok().map(|body| body.to_bytes().to_vec())
}

pub(crate) fn too_large() -> http::Response<Body> {
    plain(response(413, "text/plain", "too large\n"))
}

pub(crate) fn plain(answer: Response) -> http::Response<Body> {
    answer.map(|body| {
        let body = Full::new(Bytes::from(body));
        body.map_err(|never| match never {}).boxed_unsync()
    })
}

/// Sends an answer as its [`Wire`] says.
///
/// # Errors
/// Where the connection is to be closed: a handler that fails makes the library do it.
pub(crate) async fn on_the_wire(answer: Response) -> io::Result<http::Response<Body>> {
    match answer.extensions().get::<Wire>() {
        None => {}
        Some(Wire::Delay(milliseconds)) => {
            tokio::time::sleep(Duration::from_millis(*milliseconds)).await;
        }
        Some(Wire::Hang) => std::future::pending::<()>().await,
        Some(Wire::Reset) => return Err(io::Error::other("a fault")),
    }
    Ok(plain(answer))
}

/// A body that is read while it is sent, and what has to be kept until its end.
pub(crate) struct Stream<R, K> {
    reader: R,
    buffer: Vec<u8>,
    _kept: K,
}

impl<R, K> Stream<R, K>
where
    R: AsyncRead + Unpin + Send + 'static,
    K: Send + Unpin + 'static,
{
    pub(crate) fn body(reader: R, kept: K) -> Body {
        let buffer = vec![0; CHUNK_BYTES];
        let stream = Self {
            reader,
            buffer,
            _kept: kept,
        };
        stream.boxed_unsync()
    }
}

impl<R: AsyncRead + Unpin, K: Unpin> hyper::body::Body for Stream<R, K> {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Self { reader, buffer, .. } = self.get_mut();
        let mut read = ReadBuf::new(buffer);
        match Pin::new(reader).poll_read(context, &mut read) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Err(error)) => Poll::Ready(Some(Err(error))),
            Poll::Ready(Ok(())) if read.filled().is_empty() => Poll::Ready(None),
            Poll::Ready(Ok(())) => {
                let chunk = Bytes::copy_from_slice(read.filled());
                Poll::Ready(Some(Ok(Frame::data(chunk))))
            }
        }
    }
}
