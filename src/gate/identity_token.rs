//! Identity tokens for upstreams, and `/_bitgate/keys`, which verifies them.

use std::borrow::Cow;

use crate::gate::actor::Actor;
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Forward, Gate, Reason, Step};
use crate::host::{Host, NoRandomness};
use crate::http::{Request, Response};
use crate::policy::Rule;
use crate::session::{Subject, key_set};

/// A client's own is taken away, as is all of `x-bitgate-`.
const HEADER: &str = "x-bitgate-identity-token";

impl Gate {
    /// The keys of the site, for everybody and on any host: a service may reach them by an address
    /// of its own.
    pub(super) fn on_keys(&self, request: &Request) -> Step {
        if !matches!(&*request.method, "GET" | "HEAD") {
            let refusal = Refusal::new(Reason::MethodNotAllowed).with_allow("GET, HEAD");
            return refusal.into_step(request, None);
        }
        let document = key_set(self.sessions.ring());
        let event = Event::new(EventKind::Asked).of(request);
        Step::Respond(
            Response::published("application/jwk-set+json", &document),
            event,
        )
    }

    /// The token that the rule asks for.
    pub(super) fn identity_token(
        &self,
        rule: &Rule,
        actor: Actor<'_>,
        host: &mut Host<'_>,
    ) -> Result<Option<String>, NoRandomness> {
        let Some(wanted) = &rule.identity_token else {
            return Ok(None);
        };
        let key = match actor {
            Actor::Session(..) => Cow::Borrowed(""),
            Actor::Caller(caller) => caller.key(),
        };
        let (subject, ends_at) = match actor {
            Actor::Session(signed_in, _) => {
                let ends_at = self.sessions.ends_at_after_use(signed_in, host.now);
                (Subject::of(&signed_in.session), ends_at)
            }
            Actor::Caller(caller) => (caller.subject(&key), caller.ends_at),
        };
        let token = self.identity_tokens.borrow_mut().token(
            self.sessions.ring(),
            subject,
            ends_at,
            &wanted.audience,
            host.now,
            host.random,
        )?;
        Ok(Some(token))
    }
}

impl Forward {
    pub(super) fn with_identity_token(mut self, token: Option<String>) -> Self {
        if let Some(token) = token {
            self.replace(HEADER.into(), &[token.as_bytes()]);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use std::rc::Rc;

    use serde_json::json;

    use super::*;
    use crate::config::Config;
    use crate::host::{NativeSignatures, Random, SharedData, Version};
    use crate::http::{Cookies, Headers};
    use crate::identity::Identity;
    use crate::oauth::{AccessToken, RefreshToken};
    use crate::session::Grant;
    use crate::time::{Seconds, UnixTime};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    #[derive(Debug)]
    enum Source {
        Good,
        Empty,
    }

    impl Random for Source {
        fn fill(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
            bytes.fill(7);
            match self {
                Self::Good => Ok(()),
                Self::Empty => Err(NoRandomness),
            }
        }
    }

    #[derive(Debug)]
    struct Nothing;

    impl SharedData for Nothing {
        fn read(&self, _: &str) -> Option<(Vec<u8>, Version)> {
            None
        }

        fn write(&mut self, _: &str, _: &[u8], _: Option<Version>) -> bool {
            false
        }
    }

    fn gate() -> Rc<Gate> {
        let config = json!({
            "public_url": "https://a.test",
            "bitbucket": {
                "client_id": "id",
                "client_secret": {"env": "SECRET"},
                "scopes": ["account"],
                "web": {"cluster": "web"},
                "api": {"cluster": "api"},
            },
            "session": {"keys": [{"kid": "k", "key": {"env": "KEY"}}]},
            "rules": [{
                "match": {"path": "/**"},
                "allow": "signed_in",
                "identity_token": {"audience": "a"},
            }],
        });
        let environment = |name: &str| match name {
            "KEY" => Some("dGVzdC1vbmx5LXRlc3Qtb25seS10ZXN0LW9ubHktMDE=".to_owned()),
            _ => Some("unit-test-client".to_owned()),
        };
        Gate::new(Config::parse(config.to_string().as_bytes(), &environment).unwrap()).unwrap()
    }

    fn signed_in(gate: &Gate) -> String {
        let identity = Identity {
            account_id: "ada".to_owned(),
            email: None,
            nickname: None,
        };
        let grant = Grant {
            access_token: AccessToken::new("a"),
            refresh_token: Some(RefreshToken::new("r")),
            expires_at: NOW.plus(Seconds(7_200)),
            lifetime: Seconds(7_200),
            scopes: None,
        };
        let none = Headers::default();
        let mut host = Host {
            now: NOW,
            random: &mut Source::Good,
            shared: &mut Nothing,
            signatures: &NativeSignatures,
        };
        let cookies = Cookies::read(&none);
        let issued = gate.sessions.issue(identity, &grant, &cookies, &mut host);
        let cookies = issued.unwrap().cookies;
        let lines = cookies.iter().filter_map(|cookie| cookie.header_value());
        let pairs: Vec<String> = lines
            .filter_map(|line| Some(line.as_str().split_once(';')?.0.to_owned()))
            .collect();
        pairs.join("; ")
    }

    fn ask(gate: &Rc<Gate>, cookie: &str, mut random: Source) -> Step {
        let fields = [
            (":method", "GET"),
            (":authority", "a.test"),
            (":path", "/"),
            ("cookie", cookie),
        ];
        let fields = fields.map(|(name, value)| (name.to_owned(), value.as_bytes().to_vec()));
        let mut host = Host {
            now: NOW,
            random: &mut random,
            shared: &mut Nothing,
            signatures: &NativeSignatures,
        };
        gate.on_request(Request::read(fields.to_vec()), &mut host)
    }

    #[test]
    fn without_randomness_a_request_is_refused_rather_than_sent_unsigned() {
        let gate = gate();
        let cookie = signed_in(&gate);
        match ask(&gate, &cookie, Source::Empty) {
            Step::Respond(response, event) => {
                assert_eq!(response.status, 503);
                assert_eq!(event.reason, Some(Reason::NoRandomness));
            }
            Step::Call(..) | Step::Forward(_) | Step::Noted(..) | Step::Wait(..) => {
                panic!("expected a refusal")
            }
        }
        // Once there is a token, nothing is asked of the host for as long as it serves.
        for random in [Source::Good, Source::Empty] {
            let Step::Forward(forward) = ask(&gate, &cookie, random) else {
                panic!("expected a forward");
            };
            assert!(forward.set.contains(HEADER));
        }
    }
}
