//! The section `issuers`: whose signed tokens callers may bring.

use std::rc::Rc;

use crate::bitbucket::{Endpoint, pipelines_audience, pipelines_issuer, pipelines_keys_call};
use crate::config::access::is_workspace_slug;
use crate::config::reader::{Node, Reader, quoted, shown};
use crate::host::SignatureAlgorithm;
use crate::issuers::{Issuer, Keys, Kind};
use crate::jose::{KeySet, RequiredClaim};
use crate::json::Json;
use crate::policy::Name;

/// Each asks for its keys every hour, and looks into shared data every second.
const MAX: usize = 16;

/// Claims that have keys of their own, or that nobody can fix.
const NOT_REQUIRED: [&str; 6] = ["aud", "exp", "iat", "iss", "jti", "nbf"];

impl Reader<'_> {
    /// The section itself; a preset is under the address of `api`.
    pub(super) fn issuers(
        &self,
        node: &Node<'_>,
        api: Option<&Endpoint>,
        is_loopback: bool,
    ) -> Option<Vec<Rc<Issuer>>> {
        let items = self.list(node)?;
        if items.len() > MAX {
            let found = items.len().to_string();
            self.wrong(&node.path, "expected at most 16 issuers", &found);
        }
        let mut issuers: Vec<Rc<Issuer>> = Vec::new();
        for item in &items {
            let issuer = match item.member("bitbucket_pipelines") {
                Some(preset) => {
                    self.object(item, &["bitbucket_pipelines"]);
                    self.pipelines(&preset, api)
                }
                None => self.issuer(item, is_loopback),
            };
            let Some(issuer) = issuer else {
                continue;
            };
            if issuers.iter().any(|other| other.issuer == issuer.issuer) {
                let expected = "expected an issuer that is none of those before";
                self.wrong(&item.path, expected, &quoted(&issuer.issuer));
            }
            issuers.push(Rc::new(issuer));
        }
        (issuers.len() == items.len()).then_some(issuers)
    }

    fn issuer(&self, node: &Node<'_>, is_loopback: bool) -> Option<Issuer> {
        let known = [
            "issuer",
            "jwks",
            "audiences",
            "algorithms",
            "required_claims",
            "bitbucket_pipelines",
        ];
        let section = self.object(node, &known)?;
        let issuer = self.checked(&section, "issuer", "the iss of its tokens", is_visible);
        let keys = self
            .required(&section, "jwks")
            .and_then(|node| self.jwks(&node, is_loopback));
        let audiences = self
            .required(&section, "audiences")
            .and_then(|node| self.audiences(&node));
        let algorithms = match section.member("algorithms") {
            Some(node) => self.algorithms(&node),
            None => Some(vec![SignatureAlgorithm::RsaSha256]),
        };
        let required = match section.member("required_claims") {
            Some(node) => self.required_claims(&node),
            None => Some(Vec::new()),
        };
        Some(Issuer {
            issuer: issuer?,
            kind: Kind::Other,
            keys: keys?,
            audiences: audiences?,
            algorithms: algorithms?,
            required: required?,
        })
    }

    fn pipelines(&self, node: &Node<'_>, api: Option<&Endpoint>) -> Option<Issuer> {
        let section = self.object(node, &["workspace", "workspace_uuid", "audiences"])?;
        let expected = "the slug of a workspace";
        let workspace = self.checked(&section, "workspace", expected, is_workspace_slug);
        let expected = "a UUID with its braces";
        let workspace_uuid = self.checked(&section, "workspace_uuid", expected, is_uuid);
        let audiences = match section.member("audiences") {
            Some(node) => self.audiences(&node),
            None => Some(Vec::new()),
        };
        let (workspace, api) = (workspace?, api?);
        let workspace_uuid = workspace_uuid?.to_ascii_lowercase();
        let mut audiences = audiences?;
        if audiences.is_empty() {
            audiences.push(pipelines_audience(&workspace_uuid));
        }
        Some(Issuer {
            issuer: pipelines_issuer(api, &workspace),
            keys: Keys::Remote(Rc::new(pipelines_keys_call(api, &workspace))),
            kind: Kind::Pipelines {
                workspace,
                workspace_uuid,
            },
            audiences,
            algorithms: vec![SignatureAlgorithm::RsaSha256],
            required: Vec::new(),
        })
    }

    fn jwks(&self, node: &Node<'_>, is_loopback: bool) -> Option<Keys> {
        if let Some(keys) = node.member("keys") {
            self.object(node, &["keys"])?;
            return self.inline_keys(&keys);
        }
        let section = self.object(node, &["cluster", "url", "timeout", "keys"])?;
        let node = self.required(&section, "url");
        let url = node.and_then(|node| self.address(&node, is_loopback));
        let (url, path) = url.unzip();
        let endpoint = self.reached(&section, url)?;
        Some(Keys::Remote(Rc::new(endpoint.call("GET", &path?))))
    }

    /// Scheme and host, and the path and query behind them.
    fn address(
        &self,
        node: &Node<'_>,
        is_loopback: bool,
    ) -> Option<((&'static str, String), String)> {
        let text = self.string(node)?;
        // The first slash after those of `https://`.
        let after = text
            .find("://")
            .and_then(|at| text.get(at.checked_add(3)?..));
        let path = after.and_then(|after| after.get(after.find('/')?..));
        let path = path.filter(|path| path.len() > 1 && is_visible(path) && !path.contains('#'));
        let Some(path) = path else {
            // What comes before the host may hold a password.
            let expected = "expected an address with a path, such as https://idp.example.com/keys";
            self.wrong(&node.path, expected, "none, or another character in it");
            return None;
        };
        let json = Json::String(text.strip_suffix(path)?.to_owned());
        let origin = Node {
            json: &json,
            path: node.path.clone(),
        };
        Some((self.provider_url(&origin, is_loopback)?, path.to_owned()))
    }

    /// In a set that was fetched, what is of no use is skipped; what an operator writes is meant.
    fn inline_keys(&self, node: &Node<'_>) -> Option<Keys> {
        let items = node.json.as_array().unwrap_or_default();
        let keys = KeySet::read(items).ok();
        let keys =
            keys.filter(|keys| keys.len() == items.len() && node.json.has_distinct_members());
        if keys.is_none() {
            let expected = "expected 1 to 32 public keys for signatures, RSA of 2048 to 4096 bits or \
                            EC with P-256 or P-384, each with a kid of its own";
            self.wrong(&node.path, expected, "something else among them");
        }
        keys.map(|keys| Keys::Inline(Rc::new(keys)))
    }

    fn audiences(&self, node: &Node<'_>) -> Option<Vec<String>> {
        let mut audiences = Vec::new();
        for (item, text) in self.texts(node)? {
            if !is_visible(text) {
                let expected = "expected an audience: 1 to 512 visible ASCII characters";
                self.wrong(&item.path, expected, &quoted(text));
            }
            audiences.push(text.to_owned());
        }
        Some(audiences)
    }

    fn algorithms(&self, node: &Node<'_>) -> Option<Vec<SignatureAlgorithm>> {
        let mut algorithms = Vec::new();
        for item in self.list(node)? {
            algorithms.extend(self.word(&item, SignatureAlgorithm::names()));
        }
        Some(algorithms)
    }

    fn required_claims(&self, node: &Node<'_>) -> Option<Vec<RequiredClaim>> {
        let mut claims = Vec::new();
        for name in self.distinct_names(node)? {
            let path = node.path_of(&shown(name));
            if name.is_empty() || NOT_REQUIRED.contains(&name) {
                let expected = "expected a claim that says who the caller is";
                self.wrong(&path, expected, &quoted(name));
            }
            let member = node.member(name)?;
            let texts = self.texts(&Node { path, ..member })?;
            claims.push(RequiredClaim {
                name: name.to_owned(),
                values: texts.into_iter().map(|(_, text)| text.to_owned()).collect(),
            });
        }
        Some(claims)
    }

    /// A member that must be there, as a text that `is_good`.
    fn checked(
        &self,
        section: &Node<'_>,
        name: &str,
        expected: &str,
        is_good: fn(&str) -> bool,
    ) -> Option<String> {
        let node = self.required(section, name)?;
        let text = self.string(&node)?;
        if !is_good(text) {
            self.wrong(&node.path, &format!("expected {expected}"), &quoted(text));
        }
        Some(text.to_owned())
    }
}

fn is_visible(text: &str) -> bool {
    (1..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

fn is_uuid(text: &str) -> bool {
    matches!(Name::workspace(text), Ok(Name::Uuid(_)))
}
