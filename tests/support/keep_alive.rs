//! One connection for thousands of requests, whose targets may be any bytes.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::{RawTarget, Request, Response};

/// A client that keeps its connection as long as the server does.
pub struct KeepAlive {
    address: SocketAddr,
    stream: Option<BufReader<TcpStream>>,
}

impl KeepAlive {
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            stream: None,
        }
    }

    /// Sends a request and waits for the whole answer.
    pub fn send(&mut self, request: &Request) -> Response {
        let bytes = written(request);
        let mut stream = self.stream.take().unwrap_or_else(|| self.connect());
        stream.get_mut().write_all(&bytes).unwrap();
        let (response, stays) = read(&mut stream, request.method() == "HEAD");
        self.stream = stays.then_some(stream);
        response
    }

    fn connect(&self) -> BufReader<TcpStream> {
        let stream = TcpStream::connect(self.address).unwrap();
        let patience = Some(Duration::from_secs(30));
        stream.set_read_timeout(patience).unwrap();
        stream.set_nodelay(true).unwrap();
        BufReader::new(stream)
    }
}

fn written(request: &Request) -> Vec<u8> {
    let mut bytes = format!("{} ", request.method()).into_bytes();
    match request.extensions().get::<RawTarget>() {
        Some(RawTarget(target)) => bytes.extend(target),
        None => bytes.extend(request.uri().path_and_query().unwrap().as_str().bytes()),
    }
    bytes.extend(b" HTTP/1.1\r\n");
    for (name, value) in request.headers() {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes.extend(format!("content-length: {}\r\n\r\n", request.body().len()).bytes());
    bytes.extend(request.body());
    bytes
}

/// The answer, and whether another one may follow (RFC 9112 section 6.3).
fn read(stream: &mut BufReader<TcpStream>, is_head: bool) -> (Response, bool) {
    let mut line = || {
        let mut text = String::new();
        stream.read_line(&mut text).expect("a line of an answer");
        assert!(text.ends_with("\r\n"), "the connection ended: {text:?}");
        text.truncate(text.len() - 2);
        text
    };
    let status: u16 = line()[9..12].parse().unwrap();
    let mut response = http::Response::builder().status(status);
    loop {
        let field = line();
        let Some((name, value)) = field.split_once(": ") else {
            break;
        };
        response = response.header(name, value);
    }
    let mut response = response.body(Vec::new()).unwrap();
    let headers = response.headers();
    let text = |name| {
        headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    };
    let stays = text("connection") != "close";
    let length = text("content-length").parse().unwrap_or(0);
    let is_chunked = text("transfer-encoding") == "chunked";
    if is_head || status == 204 || status == 304 {
        return (response, stays);
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    let mut is_over = !is_chunked;
    while !is_over {
        let mut size = String::new();
        stream.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        let mut chunk = vec![0; size + 2];
        stream.read_exact(&mut chunk).unwrap();
        body.extend(&chunk[..size]);
        is_over = size == 0;
    }
    *response.body_mut() = body;
    (response, stays)
}
