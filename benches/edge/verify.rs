//! What is measured must be what it says: each row's answers are looked at before.

use bitgate_simulator::client::{self, Protocol};
use serde_json::Value;

use crate::row::{Behind, Row, Traffic, with};
use crate::site::{BODY, ECHO, Filter, Site};
use crate::support::keep_alive::KeepAlive;
use crate::support::{Request, Response};

/// Stops the run where a site does not do what the row says.
pub(crate) fn verify(row: &Row, traffic: &Traffic, site: &Site) {
    let name = &row.name;
    let mut client = Client::of(row.protocol, site);
    let last = traffic.requests.len() - 1;
    for at in [0, last / 2, last] {
        let request = &traffic.requests[at];
        let answer = client.send(request.clone());
        assert_eq!(answer.status(), traffic.status, "{name}: {answer:?}");
        if traffic.status != 200 {
            continue;
        }
        assert_eq!(answer.body(), BODY.as_bytes(), "{name}");
        let echo = client.send(with(request.clone(), ECHO, "1"));
        assert_eq!(echo.status(), 200, "{name}: {echo:?}");
        let echo: Value = serde_json::from_slice(echo.body()).unwrap();
        has_what_it_should(name, traffic.behind, &echo);
        let is_guarded = !matches!(traffic.plan.filter, Filter::None | Filter::Floor);
        if is_guarded && traffic.behind != Behind::Whatever {
            let mut anonymous = request.clone();
            anonymous.headers_mut().remove("cookie");
            anonymous.headers_mut().remove("authorization");
            let answer = client.send(anonymous);
            assert!(
                is_refused(&answer),
                "{name}: {answer:?} without a credential"
            );
            let answer = client.send(tampered_with(request));
            assert!(
                is_refused(&answer),
                "{name}: {answer:?} with a changed credential"
            );
        }
    }
}

fn is_refused(answer: &Response) -> bool {
    matches!(answer.status().as_u16(), 302 | 401)
}

/// The same with another character in the middle of each cookie, and of the token.
fn tampered_with(request: &Request) -> Request {
    let mut request = request.clone();
    for name in ["cookie", "authorization"] {
        let Some(value) = request.headers().get(name) else {
            continue;
        };
        let changed = |part: &str| {
            let mut bytes = part.as_bytes().to_vec();
            let at = bytes.len().midpoint(part.find('=').unwrap_or(0));
            bytes[at] = if bytes[at] == b'x' { b'y' } else { b'x' };
            String::from_utf8(bytes).unwrap()
        };
        let parts: Vec<String> = value.to_str().unwrap().split("; ").map(changed).collect();
        request
            .headers_mut()
            .insert(name, parts.join("; ").parse().unwrap());
    }
    request
}

fn has_what_it_should(name: &str, behind: Behind, echo: &Value) {
    let all = echo["headers"].as_array().unwrap();
    let value = |wanted: &str| {
        let found = all.iter().find(|field| field[0] == wanted)?;
        found[1].as_str()
    };
    let token = value("authorization").and_then(|text| text.strip_prefix("Bearer "));
    let length = token.map_or(0, str::len);
    let (expected, principal) = match behind {
        Behind::Bearer(length) => (length, None),
        Behind::BearerAndIdentity(length) => (length, Some("person")),
        Behind::Identity => (0, Some("person")),
        Behind::Pipeline => (0, Some("pipeline")),
        Behind::Whatever => return,
    };
    assert_eq!(
        length, expected,
        "{name}: characters of the token that the service gets"
    );
    if principal.is_some() {
        assert_eq!(value("x-bitgate-principal"), principal, "{name}");
        assert_eq!(
            value("cookie"),
            None,
            "{name}: cookies that the service gets"
        );
    }
    if principal == Some("person") {
        assert!(
            value("x-forwarded-user").is_some_and(|text| text.contains("ada0")),
            "{name}"
        );
        assert_eq!(
            value("x-forwarded-email"),
            Some("ada@example.com"),
            "{name}"
        );
    }
}

enum Client<'s> {
    Http1(KeepAlive),
    Http2(&'s Site),
}

impl<'s> Client<'s> {
    fn of(protocol: Protocol, site: &'s Site) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1(site.connection()),
            Protocol::Http2 => Self::Http2(site),
        }
    }

    fn send(&mut self, request: Request) -> Response {
        match self {
            Self::Http1(connection) => connection.send(&request),
            Self::Http2(site) => {
                client::send_over(Protocol::Http2, site.envoy.listener, request).unwrap()
            }
        }
    }
}
