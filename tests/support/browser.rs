//! A browser: a cookie jar that refuses what browsers refuse, and a person who clicks.

use std::collections::BTreeMap;

use super::world::World;
use super::{Request, Response};

/// The site's address in all examples.
pub const SITE: &str = "http://localhost:10000";

pub struct Browser<'w> {
    pub world: &'w mut World,
    pub jar: Jar,
}

/// Cookies by name; one host, so no domains.
#[derive(Clone, Debug, Default)]
pub struct Jar(pub BTreeMap<String, String>);

impl Jar {
    /// RFC 6265bis section 5.7, as far as our cookies use it.
    pub fn take(&mut self, response: &Response) {
        for line in response.headers().get_all("set-cookie") {
            let line = line.to_str().expect("a cookie of ASCII");
            let mut parts = line.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            assert!(
                line.len() <= 4_096,
                "a browser drops the cookie {name} of {} bytes",
                line.len()
            );
            let attributes: Vec<&str> = parts.collect();
            // RFC 6265bis section 4.1.3: what the prefix demands.
            let path = match name.strip_prefix("__Secure-") {
                Some(_) => "Path=/_bitgate/",
                None => "Path=/",
            };
            for wanted in [path, "Secure", "HttpOnly", "SameSite=Lax"] {
                assert!(attributes.contains(&wanted), "{name} lacks {wanted}");
            }
            assert!(
                !attributes
                    .iter()
                    .any(|attribute| attribute.starts_with("Domain"))
            );
            let max_age = attributes.iter().find_map(|a| a.strip_prefix("Max-Age="));
            match max_age.expect("a lifetime") {
                "0" => self.0.remove(name),
                _ => self.0.insert(name.to_owned(), value.to_owned()),
            };
        }
    }

    /// What goes to a page of the site.
    pub fn header(&self) -> String {
        self.header_for("/")
    }

    /// What goes to `path`.
    pub fn header_for(&self, path: &str) -> String {
        let is_endpoint = path.starts_with("/_bitgate/");
        self.0
            .iter()
            .filter(|(name, _)| is_endpoint || !name.starts_with("__Secure-"))
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
            .join("; ")
    }

    pub fn names(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// The names of the cookies that make up a session.
    pub fn session_names(&self) -> Vec<String> {
        let names = self.0.keys().cloned();
        names
            .filter(|name| name == "__Host-bitgate" || name.starts_with("__Host-bitgate-grant"))
            .collect()
    }
}

impl<'w> Browser<'w> {
    pub fn new(world: &'w mut World) -> Self {
        Self {
            world,
            jar: Jar::default(),
        }
    }

    /// Opens a page: what typing an address does.
    pub fn open(&mut self, path: &str) -> Response {
        let request = http::Request::get(path)
            .header("accept", "text/html,application/xhtml+xml,*/*;q=0.8")
            .header("sec-fetch-mode", "navigate")
            .header("sec-fetch-dest", "document")
            .header("sec-fetch-site", "none");
        self.send(request.body(Vec::new()).unwrap())
    }

    /// What a script of the page does.
    pub fn fetch(&mut self, path: &str) -> Response {
        let request = http::Request::get(path)
            .header("accept", "*/*")
            .header("sec-fetch-mode", "cors")
            .header("sec-fetch-dest", "empty")
            .header("sec-fetch-site", "same-origin");
        self.send(request.body(Vec::new()).unwrap())
    }

    /// Sends a request with the cookies, and keeps those of the answer.
    pub fn send(&mut self, mut request: Request) -> Response {
        let ours = self.jar.header_for(request.uri().path());
        let headers = request.headers_mut();
        headers
            .entry("host")
            .or_insert_with(|| "localhost:10000".parse().unwrap());
        let theirs = headers
            .get("cookie")
            .map(|value| value.to_str().unwrap().to_owned());
        let all: Vec<String> = theirs
            .into_iter()
            .chain([ours])
            .filter(|c| !c.is_empty())
            .collect();
        if !all.is_empty() {
            headers.insert("cookie", all.join("; ").parse().unwrap());
        }
        let response = self.world.send(request);
        self.jar.take(&response);
        response
    }

    /// At Bitbucket: chooses the person and answers the question. Gives the callback's address.
    pub fn answer(&mut self, sent_away: &Response, account_id: &str, decision: &str) -> String {
        let url = location(sent_away);
        let target = url
            .strip_prefix("http://127.0.0.1:10001")
            .expect("Bitbucket's address");
        let request = http::Request::get(target).header("host", "127.0.0.1:10001");
        let page = self.bitbucket(request.body(Vec::new()).unwrap());
        assert_eq!(page.status(), 200, "{}", body(&page));
        let mut form = form_urlencoded::Serializer::new(String::new());
        for (name, value) in hidden_inputs(&body(&page)) {
            form.append_pair(&name, &value);
        }
        form.append_pair("account", account_id)
            .append_pair("decision", decision);
        let request = http::Request::post("/site/oauth2/authorize")
            .header("host", "127.0.0.1:10001")
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = self.bitbucket(request.body(form.finish().into_bytes()).unwrap());
        assert_eq!(answer.status(), 302, "{}", body(&answer));
        let callback = location(&answer);
        callback.strip_prefix(SITE).expect("our address").to_owned()
    }

    fn bitbucket(&mut self, request: Request) -> Response {
        let now = self.world.around.clock.now();
        self.world.bitbucket().handle(now, &request)
    }

    /// Opens a page, signs in, and comes back to it. Gives the answer of the callback.
    pub fn sign_in(&mut self, path: &str, account_id: &str) -> Response {
        let sent_away = self.open(path);
        assert_eq!(sent_away.status(), 302, "{}", body(&sent_away));
        let callback = self.answer(&sent_away, account_id, "grant");
        self.open(&callback)
    }
}

pub fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

pub fn location(response: &Response) -> String {
    header(response, "location").to_owned()
}

pub fn body(response: &Response) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

/// The hidden inputs of a page's form, as a browser would send them.
pub fn hidden_inputs(page: &str) -> Vec<(String, String)> {
    let inputs = page
        .split("<input")
        .skip(1)
        .map(|rest| rest.split('>').next().unwrap());
    inputs
        .filter(|input| input.contains("type=\"hidden\""))
        .map(|input| (attribute(input, "name"), attribute(input, "value")))
        .collect()
}

fn attribute(tag: &str, name: &str) -> String {
    let (_, rest) = tag
        .split_once(&format!(" {name}=\""))
        .expect("an attribute");
    let text = rest.split('"').next().unwrap();
    text.replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&amp;", "&")
}
