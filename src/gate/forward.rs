//! The request as the upstream gets it.

use std::borrow::Cow;

use crate::config::{Config, Fact};
use crate::gate::actor::Actor;
use crate::gate::client::RequestId;
use crate::gate::{Gate, Job, Renewal, Watch};
use crate::http::{Cookies, HeaderValue, Request, SetCookie, SetFields};
use crate::policy::Inject;
use crate::session::is_our_cookie;

/// How many headers are set for most requests, with the bytes of their values beside a credential.
const USUAL: (usize, usize) = (8, 256);

/// The parts of the `Authorization` that goes upstream: the scheme, which may be with the rest.
pub(super) type Authorization<'a> = [&'a str; 2];

/// One that is in one piece already.
pub(super) fn whole(value: &HeaderValue) -> Authorization<'_> {
    ["", value.as_str()]
}

/// What changes about a request on its way, and about its response on the way back.
#[derive(Debug, Default)]
pub struct Forward {
    /// Names of header fields to take away, all values of each.
    pub remove: Vec<Cow<'static, str>>,
    /// Header fields to set.
    pub set: SetFields,
    /// What becomes of the response.
    pub response: ResponsePlan,
    /// A renewal to start, whose result the response waits for.
    pub renewal: Option<Box<Renewal>>,
    /// A lookup to start, for which nothing waits.
    pub ahead: Option<Job>,
}

/// What changes about the upstream's response.
#[derive(Debug, Default)]
pub struct ResponsePlan {
    /// Cookies for it. One that carries them is also made `private, no-store`.
    pub cookies: Vec<SetCookie>,
    /// Whom it is for.
    pub audience: Audience,
    /// The renewal that was on its way when the request came: the response brings what it gave.
    pub watch: Option<Watch>,
    /// The bot whose credential the service got, by its place: that it is refused must show.
    pub bot: Option<usize>,
}

/// Whom a response is for, as far as a cache must know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Audience {
    /// Whoever asks.
    #[default]
    Everybody,
    /// The person with the session. No cache sees that, since the cookie is no `Authorization`
    /// (RFC 9111 section 3.5), so where the upstream says nothing we do.
    OnePerson,
}

impl ResponsePlan {
    /// What `cache-control` is set to, given whether the upstream has set it.
    #[must_use]
    pub fn cache_control(&self, is_set: bool) -> Option<&'static str> {
        match (self.cookies.is_empty(), self.audience, is_set) {
            (false, _, _) => Some("private, no-store"),
            (true, Audience::OnePerson, false) => Some("private, no-cache"),
            (true, Audience::OnePerson, true) | (true, Audience::Everybody, _) => None,
        }
    }

    /// Whether it has cookies of ours, or will when a renewal is over.
    #[must_use]
    pub fn may_bring_cookies(&self) -> bool {
        !self.cookies.is_empty() || self.watch.is_some()
    }

    /// The same without cookies of ours.
    #[must_use]
    pub fn without_cookies(&self) -> Self {
        Self {
            audience: self.audience,
            bot: self.bot,
            ..Self::default()
        }
    }

    /// Whether a `Set-Cookie` of the upstream may pass. None of ours does: the service could plant
    /// the session of somebody else.
    #[must_use]
    pub fn lets_through(set_cookie: &[u8]) -> bool {
        // Some browsers keep a cookie without a name, and send its value where a name would stand.
        let mut name = set_cookie.trim_ascii_start();
        while let Some(rest) = name.strip_prefix(b"=") {
            name = rest.trim_ascii_start();
        }
        !is_our_cookie(name)
    }
}

impl Gate {
    /// Whether a client may not say this, as a header field or as a trailer.
    #[must_use]
    pub fn manages(&self, name: &[u8]) -> bool {
        name == b"cookie" || self.config.identity_headers.manages(name)
    }

    /// Takes away what only we may say: our headers in every spelling, and our cookies, which are
    /// nobody else's business.
    pub(super) fn forward(&self, request: &Request, cookies: &Cookies<'_>) -> Forward {
        let managed = &self.config.identity_headers;
        let mut forward = Forward::default();
        let names = request.headers.iter().map(|(name, _)| name);
        for name in names.filter(|name| managed.manages(name)) {
            let name = String::from_utf8_lossy(name);
            if !forward.remove.contains(&name) {
                forward.remove.push(name.into_owned().into());
            }
        }
        match cookies.without(is_our_cookie) {
            None => {}
            Some(rest) if rest.is_empty() => forward.remove.push("cookie".into()),
            Some(rest) => forward.set.push("cookie".into(), &[&rest]),
        }
        forward
    }
}

impl Forward {
    /// With what the rule lets the upstream know about whoever acts, and the credential that it passes on.
    pub(super) fn for_actor(
        mut self,
        config: &Config,
        inject: Inject,
        actor: Actor<'_>,
        authorization: Option<Authorization<'_>>,
        groups: Option<String>,
        id: Option<RequestId<'_>>,
    ) -> Self {
        self.response.audience = Audience::OnePerson;
        self.response.bot = inject.bot();
        if inject == Inject::None {
            return self;
        }
        let (fields, bytes) = USUAL;
        let length = authorization.map_or(0, |[_, credential]| credential.len());
        self.set.reserve(fields, bytes.saturating_add(length));
        if let Some(parts) = authorization {
            self.replace("authorization".into(), &parts.map(str::as_bytes));
        }
        for (name, fact) in config.identity_headers.iter() {
            if let Some(value) = value_of(fact, actor, groups.as_deref(), id) {
                self.replace(name.clone(), &[&value]);
            }
        }
        self
    }

    /// Sets a header, whatever the client sent under its name.
    pub(super) fn replace(&mut self, name: Cow<'static, str>, value: &[&[u8]]) {
        self.remove.retain(|removed| *removed != name);
        self.set.push(name, value);
    }
}

/// `None` leaves the header out: an empty one would be read as a fact.
fn value_of<'a>(
    fact: Fact,
    actor: Actor<'a>,
    groups: Option<&'a str>,
    id: Option<RequestId<'a>>,
) -> Option<Cow<'a, [u8]>> {
    let identity = actor.identity();
    let text = match fact {
        Fact::AccountId => identity.map(|identity| identity.account_id.as_str()),
        Fact::Email => identity.and_then(|identity| identity.email.as_deref()),
        Fact::Groups => groups,
        Fact::Nickname => return Some(printable(identity?.nickname.as_deref()?).into()),
        Fact::Principal => Some(actor.principal().as_str()),
        Fact::RequestId => id.map(|id| id.as_str()),
    };
    text.map(|text| text.as_bytes().into())
}

/// A nickname can hold any character, a header value not: what is not visible ASCII becomes `?`.
fn printable(text: &str) -> Vec<u8> {
    let visible = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
    text.chars().map(visible).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_upstream_sets_no_cookie_of_ours() {
        for line in [
            &b"__Host-bitgate=x; Path=/"[..],
            b"__host-BITGATE-grant=x",
            b" __Host-bitgate-login.a=x",
            b"__Host-bitgate",
            b"=__Host-bitgate=x",
            b" = =__Host-bitgate=x",
            b"__secure-bitgate-grant=x; Path=/_bitgate/",
        ] {
            assert!(!ResponsePlan::lets_through(line));
        }
        for line in [
            &b"a=__Host-bitgate"[..],
            b"",
            b"=",
            b"__Host-bitgat=x",
            b"\xff",
        ] {
            assert!(ResponsePlan::lets_through(line));
        }
    }
}
