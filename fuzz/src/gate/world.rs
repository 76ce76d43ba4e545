//! A gate, a browser with a jar of cookies, and what is known about both.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use bitgate::gate::{Gate, Job, Renewal, Step};
use bitgate::host::{Host, NativeSignatures};
use bitgate::http::{Cookies, Headers, Reply, Request};
use bitgate::oauth::{AuthorizationResponse, State};
use bitgate::session::PendingLogins;
use bitgate::time::{Seconds, UnixTime};

use super::oracle::CI_GRANT;
use super::script::Fields;
use super::site::gate;
use super::{answer, upstream};
use crate::http::read;
use crate::setup::{
    LIFETIMES, Memory, NOW, Seeded, grant, identity, is_one_line, pair_of, ring, store,
};

/// A sealed session that somebody was given, and the first cookie of its grant.
#[derive(Clone)]
pub(super) struct Issued {
    pub(super) token: String,
    pub(super) grant: String,
    /// The end of its idle time.
    pub(super) idle_at: UnixTime,
    /// The end that no use can move.
    pub(super) latest: UnixTime,
}

pub(super) struct World {
    gate: Rc<Gate>,
    pub(super) client_secret: String,
    pub(super) random: Seeded,
    shared: Memory,
    pub(super) now: UnixTime,
    pub(super) replies: VecDeque<Reply>,
    pub(super) jar: BTreeMap<String, String>,
    pub(super) issued: Vec<Issued>,
    /// The grants of the further consumer that somebody was given, by their first cookies.
    pub(super) ci_grants: Vec<String>,
    pub(super) state: String,
}

impl World {
    /// `client_secret` must not be in the input, or the input could say it.
    pub(super) fn new(client_secret: String) -> Self {
        Self {
            gate: gate(&client_secret),
            client_secret,
            random: Seeded::default(),
            shared: Memory::default(),
            now: NOW,
            replies: VecDeque::new(),
            jar: BTreeMap::new(),
            issued: Vec::new(),
            ci_grants: Vec::new(),
            state: "none".to_owned(),
        }
    }

    /// Until the year 2106: the JWE library counts seconds in 32 bits, and a session that lives
    /// beyond them does not open.
    pub(super) fn wait(&mut self, seconds: u64) {
        let end = UnixTime(u64::from(u32::MAX) - LIFETIMES.max_age.0);
        self.now = self.now.plus(Seconds(seconds)).min(end);
    }

    /// A session that the gate did not see begin, as from another worker.
    pub(super) fn sign_in(&mut self) {
        let none = Headers::default();
        let none = Cookies::read(&none);
        let grant = grant(self.now);
        let mut host = Host {
            now: self.now,
            random: &mut self.random,
            shared: &mut self.shared,
            signatures: &NativeSignatures,
        };
        let issued = store().issue(identity(), &grant, &none, &mut host);
        let pairs: Vec<_> = issued
            .iter()
            .flat_map(|issued| &issued.cookies)
            .map(pair_of)
            .collect();
        // The grant can be renewed, so its end is not the session's.
        self.keep(&pairs, None, self.now.plus(LIFETIMES.max_age));
    }

    /// Keeps cookies as a browser does, and remembers the sessions among them. One that follows
    /// another has its grant.
    pub(super) fn keep(
        &mut self,
        pairs: &[(String, String, u64)],
        before: Option<&Issued>,
        latest: UnixTime,
    ) {
        for (name, value, max_age) in pairs {
            match max_age {
                0 => self.jar.remove(name),
                _ => self.jar.insert(name.clone(), value.clone()),
            };
        }
        let find = |wanted: &str| {
            pairs
                .iter()
                .find(|(name, _, age)| name == wanted && *age > 0)
        };
        let ci_grant = find(CI_GRANT).map(|(_, value, _)| value.clone());
        self.ci_grants.extend(ci_grant);
        let grant = find("__Host-bitgate-grant").map(|(_, value, _)| value.clone());
        let Some((_, token, max_age)) = find("__Host-bitgate") else {
            // A grant that follows another goes with every token of its session.
            if let (Some(grant), Some(before)) = (grant, before) {
                let next = Issued {
                    grant,
                    ..before.clone()
                };
                self.issued.push(next);
            }
            return;
        };
        let old = before.map(|before| before.grant.clone());
        let grants: Vec<String> = grant.into_iter().chain(old).collect();
        assert!(!grants.is_empty(), "a session has a grant");
        let idle_at = self.now.plus(LIFETIMES.idle_timeout.min(Seconds(*max_age)));
        for grant in grants {
            // A token that is handed out again lives no longer for it.
            let is_known = |known: &Issued| known.token == *token && known.grant == grant;
            if !self.issued.iter().any(is_known) {
                self.issued.push(Issued {
                    token: token.clone(),
                    grant,
                    idle_at,
                    latest,
                });
            }
        }
    }

    /// The jar as a browser sends it.
    fn cookie(&self) -> String {
        let pairs = self
            .jar
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// Whether the login that a callback ends is for the further consumer.
    pub(super) fn is_second_sign_in(&self, request: &Request) -> bool {
        let query = request.target.query().unwrap_or_default();
        let state = match AuthorizationResponse::parse(query) {
            Ok(
                AuthorizationResponse::Granted { state, .. }
                | AuthorizationResponse::Refused { state, .. },
            ) => state,
            Err(_) => return false,
        };
        let (ring, cookies) = (ring(), Cookies::read(&request.headers));
        let login = PendingLogins::new(&ring, self.now).find(&cookies, &state);
        login.is_some_and(|login| login.second.is_some())
    }

    /// What was just set works: a session opens, and the login of the last state is found.
    pub(super) fn check_jar(&self, has_session: bool, has_login: bool) {
        let field = ("cookie".to_owned(), self.cookie().into_bytes());
        let headers = Headers::new(vec![field]);
        let cookies = Cookies::read(&headers);
        let opened = store().open(&cookies, self.now, &self.shared);
        assert!(
            !has_session || opened.is_ok(),
            "a new session does not open"
        );
        let (ring, state) = (ring(), State::new(self.state.as_str()));
        let found = PendingLogins::new(&ring, self.now).find(&cookies, &state);
        assert!(!has_login || found.is_some(), "a new login is not found");
    }

    fn filled_in(&self, value: &[u8]) -> Vec<u8> {
        let mut text = value.to_vec();
        for (word, with) in [(&b"$jar"[..], &self.cookie()), (b"$state", &self.state)] {
            if let Some(at) = text.windows(word.len()).position(|part| part == word) {
                text.splice(at..at + word.len(), with.bytes());
            }
        }
        text
    }

    /// Sends a request and takes every step of its way.
    pub(super) fn send(&mut self, fields: &Fields) {
        let fields: Fields = fields
            .iter()
            .map(|(name, value)| (name.clone(), self.filled_in(value)))
            .collect();
        let received = bitgate::http::Request::read(fields.clone());
        let request = read(fields);
        let mut calls = 0;
        let gate = Rc::clone(&self.gate);
        let mut step = gate.on_request(received, &mut self.host());
        loop {
            match step {
                Step::Call(call, pending) => {
                    let request = request.as_ref().expect("a call for a request that is none");
                    answer::call(request, &call, calls);
                    calls += 1;
                    let reply = self.replies.pop_front().unwrap_or(Reply::Unreachable);
                    step = pending.resume(reply, &mut self.host());
                }
                Step::Forward(mut forward) => {
                    let request = request.as_ref().expect("a forward of what is no request");
                    let renewal = forward.renewal.take();
                    upstream::forward(self, request, &forward);
                    if let Some(renewal) = renewal {
                        self.renew(*renewal);
                    }
                    return;
                }
                Step::Wait(job, waiting) => {
                    assert!(request.is_some(), "what is no request waits");
                    step = match job {
                        Some(Job::Renewal(renewal)) => {
                            self.renew(*renewal);
                            waiting.resume(&mut self.host())
                        }
                        Some(Job::Bot(_) | Job::Keys(_) | Job::Lookup(_)) => {
                            panic!("no rule here asks for that")
                        }
                        // Whoever holds the lease died.
                        None => waiting.give_up(),
                    };
                }
                Step::Noted(..) => panic!("no rule here is on trial"),
                Step::Respond(response, event) => {
                    return answer::response(self, request.as_ref(), &response, &event, calls);
                }
            }
        }
    }

    /// What it gives comes with a later request that still has the old cookie.
    fn renew(&mut self, renewal: Renewal) {
        let call = renewal.call();
        assert_eq!(
            (call.method, call.path.as_str()),
            ("POST", "/site/oauth2/access_token")
        );
        let form = String::from_utf8(call.body.clone()).expect("a form is text");
        assert!(
            form.starts_with("grant_type=refresh_token&refresh_token="),
            "{form}"
        );
        let reply = self.replies.pop_front().unwrap_or(Reply::Unreachable);
        let event = renewal.finish(reply, &mut self.host());
        assert!(is_one_line(&event.to_string()));
    }

    fn host(&mut self) -> Host<'_> {
        Host {
            now: self.now,
            random: &mut self.random,
            shared: &mut self.shared,
            signatures: &NativeSignatures,
        }
    }
}
