//! The OAuth consumers of a site, and which grants a request needs.
//!
//! The main sign-in makes the session. A rule can name a further consumer, whose token has other
//! scopes: its grant lies in cookies of its own, is bound to the session, and is renewed apart.

use std::rc::Rc;

use crate::bitbucket::Scopes;
use crate::config::Config;
use crate::gate::Gate;
use crate::gate::renewal::{Good, Halt};
use crate::host::Host;
use crate::http::{Cookies, SetCookie};
use crate::oauth::ClientCredentials;
use crate::policy::Rule;
use crate::rights::Budget;
use crate::session::{Absence, GrantCookies, Renewals, SecondSignIn, SignedIn};
use crate::time::UnixTime;

/// One OAuth consumer, with what its grants need.
#[derive(Debug)]
pub(super) struct Consumer {
    pub(super) client: ClientCredentials,
    pub(super) scopes: Scopes,
    pub(super) cookies: Rc<GrantCookies>,
    pub(super) renewals: Renewals,
    /// For sign-ins, and for lookups with the token of the main one.
    pub(super) budget: Budget,
}

impl Consumer {
    /// Its name; the main one has none.
    pub(super) fn name(&self) -> Option<&str> {
        self.cookies.consumer()
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Consumers {
    /// The one of `bitbucket`, with which people sign in.
    pub(super) main: Rc<Consumer>,
    named: Vec<Rc<Consumer>>,
}

impl Consumers {
    /// `main` is where the grant of the main sign-in lies.
    pub(super) fn new(config: &Config, main_cookies: &Rc<GrantCookies>) -> Self {
        let origin = config.public.origin.as_str();
        let consumer = |client: &ClientCredentials, scopes: &Scopes, cookies, budget| {
            Rc::new(Consumer {
                client: client.clone(),
                scopes: scopes.clone(),
                cookies,
                renewals: Renewals::new(origin, &client.id),
                budget,
            })
        };
        let main = &config.bitbucket;
        let named = config.consumers.iter().map(|named| {
            let cookies = Rc::new(GrantCookies::of(origin, &named.name, &named.client.id));
            let name = format!("consumer_{}", named.name);
            let budget = Budget::new(origin, &name, named.api_budget);
            consumer(&named.client, &named.scopes, cookies, budget)
        });
        let budget = Budget::new(origin, "consumer", main.api_budget);
        Self {
            main: consumer(&main.client, &main.scopes, Rc::clone(main_cookies), budget),
            named: named.collect(),
        }
    }

    /// All of them, the main one first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Rc<Consumer>> {
        std::iter::once(&self.main).chain(&self.named)
    }

    /// The further one called `name`.
    pub(super) fn named(&self, name: &str) -> Option<&Rc<Consumer>> {
        let mut named = self.named.iter();
        named.find(|consumer| consumer.name() == Some(name))
    }

    /// The one that a login is for.
    pub(super) fn of(&self, second: Option<&SecondSignIn>) -> Option<&Rc<Consumer>> {
        match second {
            None => Some(&self.main),
            Some(second) => self.named(&second.consumer),
        }
    }
}

impl Gate {
    /// The grants that a request on `rule` goes on with. What cannot go upstream yet takes no lease
    /// along that it does not use, and a request carries one renewal at the most: that of the main
    /// grant comes first, unless the other has ended.
    pub(super) fn current_for(
        self: &Rc<Self>,
        rule: &Rule,
        signed_in: Rc<SignedIn>,
        cookies: &Cookies<'_>,
        host: &mut Host<'_>,
    ) -> Result<Good, Halt> {
        let main = &self.consumers.main;
        let Some(name) = &rule.consumer else {
            return self.current(main, signed_in, cookies, host);
        };
        // The configuration has it, or it was refused.
        let consumer = self.consumers.named(name).ok_or(Halt::Unknown)?;
        let is_main_over = has_ended(&signed_in, host.now);
        let mut good = match is_main_over {
            true => self.current(main, signed_in, cookies, host)?,
            false => Good::unchanged(signed_in),
        };
        let mut named = self.named_grant(consumer, &good.signed_in, cookies, host)?;
        if !is_main_over {
            good = self.current(main, good.signed_in, cookies, host)?;
        }
        if good.is_settled() && named.cookies.is_empty() {
            named = self.current(consumer, named.signed_in, cookies, host)?;
        }
        good.cookies.extend(named.cookies);
        good.watch = good.watch.or(named.watch);
        good.renewal = good.renewal.or(named.renewal);
        good.named = Some(named.signed_in);
        Ok(good)
    }

    /// The session with the grant of the further consumer that the rule names, as it came. Nothing is
    /// done about it.
    pub(super) fn opened_for(
        &self,
        rule: &Rule,
        signed_in: &SignedIn,
        cookies: &Cookies<'_>,
        host: &Host<'_>,
    ) -> Option<Rc<SignedIn>> {
        let consumer = self.consumers.named(rule.consumer.as_ref()?)?;
        let opened = self
            .sessions
            .open_named(signed_in, &consumer.cookies, cookies, host.shared);
        opened.ok()
    }

    /// The grant of a further consumer, renewed if it has ended.
    fn named_grant(
        self: &Rc<Self>,
        consumer: &Rc<Consumer>,
        signed_in: &SignedIn,
        cookies: &Cookies<'_>,
        host: &mut Host<'_>,
    ) -> Result<Good, Halt> {
        let none = || {
            Halt::NoGrant(SecondSignIn {
                consumer: consumer.name().unwrap_or_default().to_owned(),
                session_id: signed_in.session.id.clone(),
            })
        };
        let named = self
            .sessions
            .open_named(signed_in, &consumer.cookies, cookies, host.shared);
        let named = named.map_err(|absence| match absence {
            Absence::Away => Halt::Away,
            Absence::Expired | Absence::Missing | Absence::Revoked => none(),
        })?;
        if !has_ended(&named, host.now) {
            return Ok(Good::unchanged(named));
        }
        if named.grant.refresh_token.is_none() {
            return Err(none());
        }
        self.current(consumer, named, cookies, host)
            .map_err(|halt| match halt {
                // Bitbucket does not renew it: most often the person took the consent back.
                Halt::Over => none(),
                Halt::Away | Halt::Later(_) | Halt::NoGrant(_) | Halt::Unknown => halt,
            })
    }

    /// The cookies that let the grants of a session travel as they should.
    pub(super) fn settle(
        &self,
        signed_in: &SignedIn,
        named: Option<&Rc<SignedIn>>,
        rule: &Rule,
        cookies: &Cookies<'_>,
        host: &mut Host<'_>,
    ) -> Vec<SetCookie> {
        let main = &self.consumers.main.cookies;
        let mut set = self.sessions.settle(signed_in, main, cookies, host);
        let consumer = rule.consumer.as_deref();
        let consumer = consumer.and_then(|name| self.consumers.named(name));
        if let (Some(named), Some(consumer)) = (named, consumer) {
            let names = &consumer.cookies;
            set.extend(self.sessions.settle(named, names, cookies, host));
        }
        set
    }

    /// The names of the further consumers for which the session has a grant.
    pub(super) fn consumers_with_grant(
        &self,
        signed_in: &SignedIn,
        cookies: &Cookies<'_>,
        host: &Host<'_>,
    ) -> Vec<&str> {
        let has_grant = |consumer: &&Rc<Consumer>| {
            let named =
                self.sessions
                    .open_named(signed_in, &consumer.cookies, cookies, host.shared);
            named.is_ok_and(|named| {
                !has_ended(&named, host.now) || named.grant.refresh_token.is_some()
            })
        };
        let named = self.consumers.named.iter().filter(has_grant);
        named.filter_map(|consumer| consumer.name()).collect()
    }
}

fn has_ended(signed_in: &SignedIn, now: UnixTime) -> bool {
    now >= signed_in.grant.expires_at
}
