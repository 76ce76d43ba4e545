//! The section `issuers`: whose signed tokens callers may bring.

use std::rc::Rc;

use crate::bitbucket::{Endpoint, pipelines_audience, pipelines_issuer, pipelines_keys_call};
use crate::config::reader::{Node, Reader, quoted, shown};
use crate::host::SignatureAlgorithm;
use crate::http::Call;
use crate::issuers::{Issuer, Keys, Kind};
use crate::jose::{KeySet, RequiredClaim};
use crate::json::Json;
use crate::policy::Name;
use crate::time::Seconds;

/// Each asks for its keys every hour, and looks into shared data every second.
const MAX: usize = 16;

const TIMEOUT: Seconds = Seconds(5);

/// Claims that have keys of their own, or that nobody can fix.
const NOT_REQUIRED: [&str; 6] = ["aud", "exp", "iat", "iss", "jti", "nbf"];

impl Reader<'_> {
    /// The section itself; a preset is under the address of `api`.
    pub(super) fn issuers(
        &self,
        node: &Node<'_>,
        api: Option<&Endpoint>,
        is_loopback: bool,
    ) -> Option<Vec<Issuer>> {
        let items = self.list(node)?;
        if items.len() > MAX {
            let expected = format!("expected at most {MAX} issuers");
            self.wrong(&node.path, &expected, &items.len().to_string());
        }
        let mut issuers: Vec<Issuer> = Vec::new();
        let mut complete = true;
        for item in items {
            let issuer = match item.member("bitbucket_pipelines") {
                Some(preset) => {
                    let section = self.object(&item, &["bitbucket_pipelines"]);
                    section.and_then(|_| self.pipelines(&preset, api))
                }
                None => self.issuer(&item, is_loopback),
            };
            let Some(issuer) = issuer else {
                complete = false;
                continue;
            };
            if issuers.iter().any(|other| other.issuer == issuer.issuer) {
                let found = quoted(&issuer.issuer);
                let found = format!("{found} a second time");
                self.wrong(&item.path, "expected an issuer of its own", &found);
            }
            issuers.push(issuer);
        }
        complete.then_some(issuers)
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
        let issuer = self
            .required(&section, "issuer")
            .and_then(|node| self.visible(&node, "the issuer exactly as tokens name it"));
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
            issuer: issuer?.into(),
            kind: Kind::Other,
            keys: keys?,
            audiences: audiences?,
            algorithms: algorithms?,
            required: required?,
        })
    }

    fn pipelines(&self, node: &Node<'_>, api: Option<&Endpoint>) -> Option<Issuer> {
        let section = self.object(node, &["workspace", "workspace_uuid", "audiences"])?;
        let name = |name, expected| {
            let node = self.required(&section, name)?;
            let text = self.string(&node)?;
            match Name::workspace(text) {
                Ok(Name::Slug(slug)) if name == "workspace" => Some(slug),
                Ok(Name::Uuid(uuid)) if name == "workspace_uuid" => Some(uuid),
                Ok(_) | Err(_) => {
                    self.wrong(&node.path, expected, &quoted(text));
                    None
                }
            }
        };
        let workspace = name("workspace", "expected the slug of a workspace");
        let workspace_uuid = name("workspace_uuid", "expected a UUID with its braces");
        let audiences = match section.member("audiences") {
            Some(node) => self.audiences(&node),
            None => workspace_uuid
                .as_deref()
                .map(|uuid| vec![pipelines_audience(uuid)]),
        };
        let (workspace, workspace_uuid, api) = (workspace?, workspace_uuid?, api?);
        Some(Issuer {
            issuer: pipelines_issuer(api, &workspace).into(),
            keys: Keys::Remote(pipelines_keys_call(api, &workspace)),
            kind: Kind::Pipelines {
                workspace,
                workspace_uuid,
            },
            audiences: audiences?,
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
        let cluster = self
            .required(&section, "cluster")
            .and_then(|node| self.cluster(&node));
        let url = self
            .required(&section, "url")
            .and_then(|node| self.keys_url(&node, is_loopback));
        let timeout = match section.member("timeout") {
            Some(node) => self.duration(&node, Seconds(1), Seconds(60)),
            None => Some(TIMEOUT),
        };
        let (scheme, authority, path) = url?;
        let endpoint = Endpoint {
            cluster: cluster?,
            scheme,
            authority,
            timeout: timeout?,
        };
        let call: Call = endpoint.call("GET", &path);
        Some(Keys::Remote(call))
    }

    /// An address with a path: scheme, host and port, path and query.
    fn keys_url(
        &self,
        node: &Node<'_>,
        is_loopback: bool,
    ) -> Option<(&'static str, String, String)> {
        let text = self.string(node)?;
        let scheme_end = text.find("://").map_or(0, |at| at.saturating_add(3));
        let after = text.get(scheme_end..).unwrap_or_default();
        let host = after.split('/').next().unwrap_or_default();
        let path = after.strip_prefix(host).unwrap_or_default();
        let is_path = path.len() > 1 && path.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
        if !is_path {
            // What comes before the host may hold a password.
            let expected = "expected an address with a path, such as https://idp.example.com/keys";
            self.wrong(&node.path, expected, "none, or another byte in it");
        }
        let json = Json::String(text.strip_suffix(path).unwrap_or(text).to_owned());
        let origin = Node {
            json: &json,
            path: node.path.clone(),
        };
        let (scheme, authority) = self.provider_url(&origin, is_loopback)?;
        is_path.then(|| (scheme, authority, path.to_owned()))
    }

    /// In a set that was fetched, what is of no use is skipped; what an operator writes is meant.
    fn inline_keys(&self, node: &Node<'_>) -> Option<Keys> {
        let items = self.list(node)?;
        for item in &items {
            self.distinct_names(item)?;
            if KeySet::read(std::slice::from_ref(item.json)).is_err() {
                let expected = "expected a public key for signatures: RSA of 2048 to 4096 bits, \
                                or EC with P-256 or P-384";
                self.wrong(&item.path, expected, "another");
                return None;
            }
        }
        let keys = KeySet::read(node.json.as_array()?).ok();
        let keys = keys.filter(|keys| keys.len() == items.len());
        if keys.is_none() {
            let expected = "expected at most 32 keys, each with a kid of its own";
            self.wrong(&node.path, expected, "more, or one kid twice");
        }
        keys.map(|keys| Keys::Inline(Rc::new(keys)))
    }

    fn audiences(&self, node: &Node<'_>) -> Option<Vec<String>> {
        let items = self.list(node)?;
        let texts = items.iter().map(|item| self.visible(item, "an audience"));
        // Each of them is looked at.
        let texts: Vec<Option<String>> = texts.collect();
        texts.into_iter().collect()
    }

    fn algorithms(&self, node: &Node<'_>) -> Option<Vec<SignatureAlgorithm>> {
        let items = self.list(node)?;
        let names = SignatureAlgorithm::names();
        let words: Vec<_> = items.iter().map(|item| self.word(item, names)).collect();
        words.into_iter().collect()
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

    /// 1 to 512 visible ASCII characters.
    fn visible(&self, node: &Node<'_>, what: &str) -> Option<String> {
        let text = self.string(node)?;
        let valid = (1..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
        if !valid {
            let expected = format!("expected {what}: 1 to 512 visible ASCII characters");
            self.wrong(&node.path, &expected, &quoted(text));
        }
        valid.then(|| text.to_owned())
    }
}
