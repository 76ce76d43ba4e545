//! Browsers that sign in, thousands of them: each has the cookies that a browser would have, and sends those that
//! it would send.

use crate::support::keep_alive::KeepAlive;
use crate::support::{Request, Response};

/// The site's address in all examples.
pub(crate) const HOST: &str = "localhost:10000";

/// RFC 6265bis, as far as one host needs it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Jar(Vec<Cookie>);

#[derive(Clone, Debug)]
struct Cookie {
    name: String,
    value: String,
    path: String,
}

impl Jar {
    pub(crate) fn take(&mut self, response: &Response) {
        for line in response.headers().get_all("set-cookie") {
            let mut parts = line.to_str().unwrap().split(';').map(str::trim);
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let mut path = "/";
            let mut lives = true;
            for attribute in parts {
                match attribute.split_once('=') {
                    Some((name, value)) if name.eq_ignore_ascii_case("path") => path = value,
                    Some((name, "0")) if name.eq_ignore_ascii_case("max-age") => lives = false,
                    // Envoy's own filters delete like this.
                    Some((name, date)) if name.eq_ignore_ascii_case("expires") => {
                        lives = !date.contains("1970")
                    }
                    _ => {}
                }
            }
            self.0
                .retain(|other| other.name != name || other.path != path);
            if lives {
                self.0.push(Cookie {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    path: path.to_owned(),
                });
            }
        }
    }

    /// The value of `Cookie` for a path; empty if there is none.
    pub(crate) fn header(&self, path: &str) -> String {
        let pairs = self.pairs(path);
        let pairs: Vec<String> = pairs
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        pairs.join("; ")
    }

    /// Names and values of the cookies that are sent to a path.
    pub(crate) fn pairs(&self, path: &str) -> Vec<(&str, &str)> {
        let mut sent: Vec<&Cookie> = self.0.iter().filter(|cookie| cookie.is_for(path)).collect();
        // Longer paths first (RFC 6265 section 5.4).
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        sent.iter()
            .map(|it| (it.name.as_str(), it.value.as_str()))
            .collect()
    }
}

impl Cookie {
    /// RFC 6265 section 5.1.4.
    fn is_for(&self, path: &str) -> bool {
        let path = path.split('?').next().unwrap_or_default();
        let Some(rest) = path.strip_prefix(self.path.as_str()) else {
            return false;
        };
        rest.is_empty() || self.path.ends_with('/') || rest.starts_with('/')
    }
}

/// A browser on a connection that it may share.
pub(crate) struct Browser<'c> {
    pub(crate) jar: Jar,
    connection: &'c mut KeepAlive,
}

impl<'c> Browser<'c> {
    pub(crate) fn new(connection: &'c mut KeepAlive) -> Self {
        Self::with(Jar::default(), connection)
    }

    pub(crate) fn with(jar: Jar, connection: &'c mut KeepAlive) -> Self {
        Self { jar, connection }
    }

    /// A navigation, without following where it leads to.
    pub(crate) fn open(&mut self, target: &str) -> Response {
        let mut request = navigation(target);
        let cookies = self.jar.header(target);
        if !cookies.is_empty() {
            request
                .headers_mut()
                .insert("cookie", cookies.parse().unwrap());
        }
        let response = self.connection.send(&request);
        self.jar.take(&response);
        response
    }

    /// A navigation that follows redirects on the site.
    pub(crate) fn visit(&mut self, target: &str) -> Response {
        let mut response = self.open(target);
        for _ in 0..5 {
            let Some(next) = location(&response)
                .and_then(|it| it.strip_prefix("http://localhost:10000").map(str::to_owned))
            else {
                break;
            };
            response = self.open(&next);
        }
        response
    }
}

pub(crate) fn location(response: &Response) -> Option<String> {
    let value = response.headers().get("location")?;
    value.to_str().ok().map(str::to_owned)
}

fn navigation(target: &str) -> Request {
    let request = http::Request::get(target)
        .header("host", HOST)
        .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
        .header("sec-fetch-mode", "navigate")
        .header("sec-fetch-dest", "document")
        .header("sec-fetch-site", "none");
    request.body(Vec::new()).unwrap()
}
