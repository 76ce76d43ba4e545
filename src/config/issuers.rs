//! The section `issuers`: whose signed tokens callers may bring.

use std::rc::Rc;

use crate::bitbucket::{Endpoint, pipelines_audience, pipelines_issuer, pipelines_keys_call};
use crate::config::access::is_workspace_slug;
use crate::config::reader::{Node, Reader, quoted};
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
    /// The section itself; a preset is under the address of `api`. What is wrong is reported, and left
    /// out here: nobody gets to see it.
    pub(super) fn issuers(
        &self,
        node: &Node<'_>,
        api: Option<&Endpoint>,
        is_loopback: bool,
    ) -> Vec<Rc<Issuer>> {
        let items = self.list(node).unwrap_or_default();
        if items.len() > MAX {
            let found = items.len().to_string();
            self.wrong_at(node, "expected at most 16 issuers", &found);
        }
        let mut issuers: Vec<Rc<Issuer>> = Vec::new();
        for item in &items {
            let mut issuer = Issuer {
                issuer: String::new(),
                kind: Kind::Other,
                keys: Keys::Inline(Rc::default()),
                audiences: Vec::new(),
                algorithms: vec![SignatureAlgorithm::RsaSha256],
                required: Vec::new(),
            };
            match item.member("bitbucket_pipelines") {
                Some(preset) => {
                    self.object(item, &["bitbucket_pipelines"]);
                    self.pipelines(&preset, api, &mut issuer);
                }
                None => self.issuer(item, is_loopback, &mut issuer),
            }
            if issuers.iter().any(|other| other.issuer == issuer.issuer) {
                let expected = "expected an issuer that is none of those before";
                self.wrong_at(item, expected, &quoted(&issuer.issuer));
            }
            issuers.push(Rc::new(issuer));
        }
        issuers
    }

    fn issuer(&self, node: &Node<'_>, is_loopback: bool, issuer: &mut Issuer) {
        const KNOWN: [&str; 6] = [
            "issuer",
            "jwks",
            "audiences",
            "algorithms",
            "required_claims",
            "bitbucket_pipelines",
        ];
        let Some(section) = self.object(node, &KNOWN) else {
            return;
        };
        issuer.issuer = self.checked(&section, "issuer", "the iss of its tokens", is_visible);
        if let Some(node) = self.required(&section, "jwks") {
            self.jwks(&node, is_loopback, &mut issuer.keys);
        }
        if let Some(node) = self.required(&section, "audiences") {
            self.values(&node, &mut issuer.audiences);
        }
        if let Some(node) = section.member("algorithms") {
            issuer.algorithms.clear();
            for item in self.list(&node).unwrap_or_default() {
                let algorithm = self.word(&item, SignatureAlgorithm::names());
                issuer.algorithms.extend(algorithm);
            }
        }
        if let Some(node) = section.member("required_claims") {
            self.required_claims(&node, &mut issuer.required);
        }
    }

    fn pipelines(&self, node: &Node<'_>, api: Option<&Endpoint>, issuer: &mut Issuer) {
        let known = ["workspace", "workspace_uuid", "audiences"];
        let Some(section) = self.object(node, &known) else {
            return;
        };
        let expected = "the slug of a workspace";
        let workspace = self.checked(&section, "workspace", expected, is_workspace_slug);
        let expected = "a UUID with its braces";
        let mut workspace_uuid = self.checked(&section, "workspace_uuid", expected, is_uuid);
        workspace_uuid.make_ascii_lowercase();
        match section.member("audiences") {
            Some(node) => self.values(&node, &mut issuer.audiences),
            None => issuer.audiences.push(pipelines_audience(&workspace_uuid)),
        }
        if let Some(api) = api {
            issuer.issuer = pipelines_issuer(api, &workspace);
            issuer.keys = Keys::Remote(Rc::new(pipelines_keys_call(api, &workspace)));
        }
        issuer.kind = Kind::Pipelines {
            workspace,
            workspace_uuid,
        };
    }

    fn jwks(&self, node: &Node<'_>, is_loopback: bool, to: &mut Keys) {
        if let Some(keys) = node.member("keys") {
            self.object(node, &["keys"]);
            return self.inline_keys(&keys, to);
        }
        let Some(section) = self.object(node, &["cluster", "url", "timeout", "keys"]) else {
            return;
        };
        let node = self.required(&section, "url");
        let url = node.and_then(|node| self.address(&node, is_loopback));
        let (url, path) = url.unzip();
        if let (Some(endpoint), Some(path)) = (self.reached(&section, url), path) {
            *to = Keys::Remote(Rc::new(endpoint.call("GET", &path)));
        }
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
            self.wrong_at(node, expected, "none, or another character in it");
            return None;
        };
        let json = Json::String(text.strip_suffix(path)?.to_owned());
        let origin = node.holding(&json);
        Some((self.provider_url(&origin, is_loopback)?, path.to_owned()))
    }

    /// In a set that was fetched, what is of no use is skipped; what an operator writes is meant.
    fn inline_keys(&self, node: &Node<'_>, to: &mut Keys) {
        let items = node.json.as_array().unwrap_or_default();
        let keys = KeySet::read(items).unwrap_or_default();
        if keys.len() == 0 || keys.len() != items.len() || !node.json.has_distinct_members() {
            let expected = "expected 1 to 32 public keys for signatures, RSA of 2048 to 4096 bits or \
                            EC with P-256 or P-384, each with a kid of its own";
            self.wrong_at(node, expected, "something else among them");
        }
        *to = Keys::Inline(Rc::new(keys));
    }

    /// One text or several, none of them empty or long.
    fn values(&self, node: &Node<'_>, to: &mut Vec<String>) {
        for (item, text) in self.texts(node).unwrap_or_default() {
            if !is_value(text) {
                let expected = "expected 1 to 512 visible ASCII characters";
                self.wrong_at(&item, expected, &quoted(text));
            }
            to.push(text.to_owned());
        }
    }

    fn required_claims(&self, node: &Node<'_>, to: &mut Vec<RequiredClaim>) {
        for name in self.distinct_names(node).unwrap_or_default() {
            let Some(member) = node.member(name) else {
                continue;
            };
            if name.is_empty() || NOT_REQUIRED.contains(&name) {
                let expected = "expected a claim that says who the caller is";
                self.wrong_at(&member, expected, &quoted(name));
            }
            let mut claim = RequiredClaim {
                name: name.to_owned(),
                values: Vec::new(),
            };
            self.values(&member, &mut claim.values);
            to.push(claim);
        }
    }

    /// A member that must be there, as a text that `is_good`.
    fn checked(
        &self,
        section: &Node<'_>,
        name: &str,
        expected: &str,
        is_good: fn(&str) -> bool,
    ) -> String {
        let node = self.required(section, name);
        let text = node.as_ref().and_then(|node| self.string(node));
        if let (Some(node), Some(text)) = (node, text)
            && !is_good(text)
        {
            self.wrong_at(&node, &format!("expected {expected}"), &quoted(text));
        }
        text.unwrap_or_default().to_owned()
    }
}

fn is_value(text: &str) -> bool {
    (1..=512).contains(&text.len()) && text.bytes().all(|b| matches!(b, b' '..=b'~'))
}

fn is_visible(text: &str) -> bool {
    is_value(text) && !text.contains(' ')
}

fn is_uuid(text: &str) -> bool {
    matches!(Name::workspace(text), Ok(Name::Uuid(_)))
}
