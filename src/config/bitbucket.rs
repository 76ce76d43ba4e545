//! The section `bitbucket`.

use std::net::Ipv4Addr;

use zeroize::Zeroizing;

use crate::bitbucket::{Endpoint, Scopes};
use crate::config::Bitbucket;
use crate::config::reader::{Node, Reader, quoted};
use crate::oauth::{ClientCredentials, ClientSecret};
use crate::time::Seconds;

const TIMEOUT: Seconds = Seconds(5);

/// What examples say in the place of a secret.
const PLACEHOLDERS: [&str; 8] = [
    "changeme",
    "change-me",
    "client_secret",
    "example",
    "password",
    "placeholder",
    "secret",
    "xxx",
];

/// What Bitbucket lets one consumer ask its API in an hour.
const API_BUDGET: u32 = 1_000;

/// Above what Bitbucket lets anybody ask.
const MOST_API_BUDGET: u32 = 100_000;

/// What is registered at Bitbucket: an OAuth consumer.
pub(super) struct Registered {
    pub(super) client: ClientCredentials,
    pub(super) scopes: Scopes,
    pub(super) api_budget: u32,
}

impl Reader<'_> {
    pub(super) fn bitbucket(&self, node: &Node<'_>, is_loopback: bool) -> Option<Bitbucket> {
        let known = [
            "client_id",
            "client_secret",
            "scopes",
            "web",
            "api",
            "api_budget",
        ];
        let section = self.object(node, &known)?;
        let registered = self.registered(&section, is_loopback);
        let web = self
            .required(&section, "web")
            .and_then(|node| self.endpoint(&node, "bitbucket.org", is_loopback));
        let api = self
            .required(&section, "api")
            .and_then(|node| self.endpoint(&node, "api.bitbucket.org", is_loopback));
        let Registered {
            client,
            scopes,
            api_budget,
        } = registered?;
        Some(Bitbucket {
            client,
            scopes,
            web: web?,
            api: api?,
            api_budget,
        })
    }

    /// The members that every consumer has.
    pub(super) fn registered(&self, section: &Node<'_>, is_loopback: bool) -> Option<Registered> {
        let client = self.client(section, is_loopback);
        let scopes = self
            .required(section, "scopes")
            .and_then(|node| self.scopes(&node));
        let api_budget = self.api_budget(section);
        Some(Registered {
            client: client?,
            scopes: scopes?,
            api_budget: api_budget?,
        })
    }

    /// Id and secret.
    pub(super) fn client(
        &self,
        section: &Node<'_>,
        is_loopback: bool,
    ) -> Option<ClientCredentials> {
        let id = self
            .required(section, "client_id")
            .and_then(|node| self.client_id(&node));
        let secret = self
            .required(section, "client_secret")
            .and_then(|node| self.client_secret(&node, is_loopback));
        Some(ClientCredentials {
            id: id?,
            secret: ClientSecret::new(secret?.as_str()),
        })
    }

    /// `api_budget` of a credential: calls to the API an hour.
    pub(super) fn api_budget(&self, section: &Node<'_>) -> Option<u32> {
        self.budget(section, "api_budget", API_BUDGET)
    }

    /// A number of calls an hour.
    pub(super) fn budget(&self, section: &Node<'_>, name: &str, default: u32) -> Option<u32> {
        match section.member(name) {
            Some(node) => self.integer(&node, 1, MOST_API_BUDGET),
            None => Some(default),
        }
    }

    fn client_id(&self, node: &Node<'_>) -> Option<String> {
        let text = self.string(node)?;
        let valid = (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !valid {
            self.wrong_at(node, "expected the key of an OAuth consumer", &quoted(text));
        }
        valid.then(|| text.to_owned())
    }

    fn scopes(&self, node: &Node<'_>) -> Option<Scopes> {
        let scopes = self.any_scopes(node)?;
        // Without it nobody can be told apart: /2.0/user needs it.
        if !scopes.allow("account") {
            self.wrong_at(node, "expected the scope \"account\" among them", "none");
        }
        Some(scopes)
    }

    /// At least one scope, and any.
    pub(super) fn any_scopes(&self, node: &Node<'_>) -> Option<Scopes> {
        let mut names = Vec::new();
        for item in self.list(node)? {
            let name = self.string(&item)?;
            let is_scope = |b: u8| b.is_ascii_lowercase() || b == b':' || b == b'-';
            if name.is_empty() || !name.bytes().all(is_scope) {
                self.wrong_at(&item, "expected a scope such as \"account\"", &quoted(name));
            }
            names.push(name.to_owned());
        }
        Some(Scopes::new(names))
    }

    fn endpoint(&self, node: &Node<'_>, host: &str, is_loopback: bool) -> Option<Endpoint> {
        let section = self.object(node, &["cluster", "url", "timeout"])?;
        let url = match section.member("url") {
            Some(node) => self.provider_url(&node, is_loopback),
            None => Some(("https", host.to_owned())),
        };
        self.reached(&section, url)
    }

    /// What is at `url`, and how the section says that it is reached.
    pub(super) fn reached(
        &self,
        section: &Node<'_>,
        url: Option<(&'static str, String)>,
    ) -> Option<Endpoint> {
        let cluster = self
            .required(section, "cluster")
            .and_then(|node| self.cluster(&node));
        let timeout = match section.member("timeout") {
            Some(node) => self.duration(&node, Seconds(1), Seconds(60)),
            None => Some(TIMEOUT),
        };
        let (scheme, authority) = url?;
        Some(Endpoint {
            cluster: cluster?,
            scheme,
            authority,
            timeout: timeout?,
        })
    }

    /// The site's own kind of host decides: people elsewhere can't be sent to an address of this
    /// machine, and a certificate names no address.
    pub(super) fn provider_url(
        &self,
        node: &Node<'_>,
        is_loopback: bool,
    ) -> Option<(&'static str, String)> {
        let (scheme, authority) = self.endpoint_url(node)?;
        let host = authority
            .rsplit_once(':')
            .map_or(authority.as_str(), |(host, _)| host);
        let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
        let is_local = scheme == "http" || is_address || host.ends_with("localhost");
        if is_local && !is_loopback {
            let expected = "expected https and a host name, since public_url is no loopback host";
            self.wrong_at(node, expected, &quoted(&authority));
        }
        Some((scheme, authority))
    }

    fn client_secret(&self, node: &Node<'_>, is_loopback: bool) -> Option<Zeroizing<String>> {
        let secret = self.secret(node, is_loopback)?;
        let is_placeholder = PLACEHOLDERS
            .iter()
            .any(|word| secret.eq_ignore_ascii_case(word));
        if is_placeholder && !is_loopback {
            let expected = "expected the secret of an OAuth consumer";
            self.wrong_at(node, expected, "a placeholder");
        }
        Some(secret)
    }

    fn cluster(&self, node: &Node<'_>) -> Option<String> {
        let text = self.string(node)?;
        let valid = (1..=256).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !valid {
            self.wrong_at(node, "expected the name of a cluster", &quoted(text));
        }
        valid.then(|| text.to_owned())
    }
}
