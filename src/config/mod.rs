//! The configuration: checked once, as a whole, before the first request. What is in a [`Config`]
//! needs no second look.

mod access;
mod allow;
mod bitbucket;
mod bots;
mod callers;
mod consumers;
mod groups;
mod headers;
mod identity_token;
mod issuers;
mod machines;
mod origin;
mod pipeline;
mod reader;
mod rules;
mod session;
mod structure;
mod text;

pub use access::Access;
pub use bots::{Bot, BotCredential};
pub use callers::Callers;
pub use consumers::Consumer;
pub use groups::{GroupSource, Groups};
pub use headers::{Fact, IdentityHeaders};
pub use reader::{Environment, Problem};

use std::rc::Rc;

use crate::bitbucket::{Endpoint, Scopes};
use crate::config::reader::{Paths, Reader};
use crate::issuers::Issuer;
use crate::json::Json;
use crate::oauth::ClientCredentials;
use crate::policy::{Allow, Policy};
use crate::session::{Lifetimes, Revocations, SessionKey};

/// The configuration of one site.
#[derive(Debug)]
pub struct Config {
    /// The origin that people see.
    pub public: PublicOrigin,
    /// Bitbucket, and who we are there.
    pub bitbucket: Bitbucket,
    /// Further consumers, at most three, with different names and client ids.
    pub consumers: Vec<Consumer>,
    /// Whose signed tokens are accepted, at most 16, with different names.
    pub issuers: Vec<Rc<Issuer>>,
    /// The session keys, at least one; the first seals.
    pub keys: Vec<SessionKey>,
    /// How long sessions live.
    pub lifetimes: Lifetimes,
    /// What the upstream gets to know.
    pub identity_headers: IdentityHeaders,
    /// Who sees more than that the filter is ready.
    pub status_allow: Allow,
    /// Sessions that are over before their time.
    pub revocations: Revocations,
    /// What rules need to know, and where from.
    pub access: Access,
    /// Which of Bitbucket's own tokens are taken from callers.
    pub callers: Option<Callers>,
    /// Who may do what.
    pub policy: Policy,
    /// What an operator should know although it is allowed.
    pub warnings: Vec<Problem>,
}

/// `public_url`: scheme, host and port of the site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicOrigin {
    /// As RFC 6454 section 6.2 writes it: no port where it is the scheme's own, no slash.
    pub origin: String,
    /// Host and port as a browser sends them.
    pub authority: String,
    /// The scheme's own port, which a client may name: 80 or 443.
    pub default_port: Option<u16>,
    /// Whether only this machine can reach it.
    pub is_loopback: bool,
}

/// The section `bitbucket`.
#[derive(Debug)]
pub struct Bitbucket {
    /// Id and secret of the OAuth consumer.
    pub client: ClientCredentials,
    /// As ticked on the consumer.
    pub scopes: Scopes,
    /// The host with the authorization and token endpoints.
    pub web: Endpoint,
    /// The host with the API.
    pub api: Endpoint,
    /// How many calls to the API an hour the consumer may make.
    pub api_budget: u32,
}

impl PublicOrigin {
    /// Whether a request to `authority` is meant for the site.
    #[must_use]
    pub fn is_authority(&self, authority: &str) -> bool {
        if authority == self.authority {
            return true;
        }
        let Some(port) = self.default_port else {
            return false;
        };
        let named = authority.strip_prefix(self.authority.as_str());
        named.and_then(|rest| rest.strip_prefix(':')) == Some(port.to_string().as_str())
    }
}

impl Config {
    /// Reads the configuration: a JSON document, or a `google.protobuf.Struct` in its binary form.
    ///
    /// # Errors
    /// Every [`Problem`] that it has, sorted by path.
    pub fn parse(text: &[u8], environment: &Environment<'_>) -> Result<Self, Vec<Problem>> {
        let json = match Json::parse(text) {
            Ok(json) => json,
            Err(error) => match structure::read(text) {
                Some(json) => json,
                None => return Err(vec![Problem::syntax(text, &error)]),
            },
        };
        let paths = Paths::default();
        let reader = Reader::new(environment, &paths);
        let config = reader.read(&json);
        reader.finish(config)
    }
}

impl Reader<'_> {
    fn read(&self, json: &Json) -> Option<Config> {
        let known = [
            "public_url",
            "bitbucket",
            "consumers",
            "issuers",
            "session",
            "identity_headers",
            "status",
            "revocations",
            "rights",
            "bots",
            "workspaces",
            "repositories",
            "groups",
            "callers",
            "rules",
        ];
        let root = self.root(json, &known)?;
        let public = self
            .required(&root, "public_url")
            .and_then(|node| self.public_url(&node));
        // Inline secrets are for a machine of one's own. An unreadable address has been reported.
        let is_loopback = public.as_ref().is_none_or(|public| public.is_loopback);
        let bitbucket = self
            .required(&root, "bitbucket")
            .and_then(|node| self.bitbucket(&node, is_loopback));
        let client = bitbucket.as_ref().map(|bitbucket| &bitbucket.client);
        let consumers = match root.member("consumers") {
            Some(node) => self.consumers(&node, client, is_loopback),
            None => Some(Vec::new()),
        };
        let api = bitbucket.as_ref().map(|bitbucket| &bitbucket.api);
        let issuers = match root.member("issuers") {
            Some(node) => self.issuers(&node, api, is_loopback),
            None => Vec::new(),
        };
        let session = self.required(&root, "session").and_then(|node| {
            let session = self.session(&node, is_loopback);
            let named = consumers.iter().flatten().map(|consumer| &consumer.client);
            if let Some((keys, _)) = &session {
                for client in client.into_iter().chain(named) {
                    self.distinct_secrets(&node.path_of("keys"), keys, client);
                }
            }
            session
        });
        let identity_headers = match root.member("identity_headers") {
            Some(node) => self.identity_headers(&node),
            None => Some(IdentityHeaders::default()),
        };
        let status_allow = match root.member("status") {
            Some(node) => self.status(&node),
            None => Some(Allow::Nobody),
        };
        let revocations = match root.member("revocations") {
            Some(node) => self.revocations(&node),
            None => Some(Revocations::default()),
        };
        let bots = self.bot_names(&root);
        let access = self.access(&root, &bots, is_loopback);
        for bot in access.iter().flat_map(|access| &access.bots) {
            if let (BotCredential::Client { client, .. }, Some((keys, _))) =
                (&bot.credential, &session)
            {
                self.distinct_secrets("session.keys", keys, client);
            }
        }
        let callers = match root.member("callers") {
            Some(node) => self.callers(&node).map(Some),
            None => Some(None),
        };
        let rules = self
            .required(&root, "rules")
            .and_then(|node| self.rules(&node, &bots, is_loopback));
        self.named_consumers(&root);
        if let (Some(access), Some(rules)) = (&access, &rules) {
            self.known_names(&root, access, rules);
            self.uses_of_bots(&root, access, rules);
            // What is wrong about issuers has been said.
            if issuers.iter().all(|issuer| !issuer.issuer.is_empty()) {
                self.known_machines(&issuers, access, rules);
            }
        }
        let (keys, lifetimes) = session?;
        Some(Config {
            public: public?,
            bitbucket: bitbucket?,
            consumers: consumers?,
            issuers,
            keys,
            lifetimes,
            identity_headers: identity_headers?,
            status_allow: status_allow?,
            revocations: revocations?,
            access: access?,
            callers: callers?,
            policy: Policy::new(rules?),
            warnings: self.warnings(),
        })
    }
}
