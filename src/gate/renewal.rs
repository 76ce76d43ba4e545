//! Renewing a grant before it ends, without anybody noticing.
//!
//! From 75 to 80% of the access token's life on, one request takes the session's lease. It goes
//! upstream at once with the token that still works; its response waits for the new grant, so that
//! the new cookie leaves with it. All others go on with the old token. After the token's end
//! requests wait for whoever holds the lease.

use std::fmt;
use std::rc::Rc;

use crate::bitbucket::{Granted, token_call};
use crate::gate::consumer::Consumer;
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, Reason};
use crate::host::Host;
use crate::http::{Call, Cookies, Reply, SetCookie};
use crate::oauth::{InvalidTokenResponse, RefreshToken, TokenRequest};
use crate::session::{
    Failure, GrantCookies, Lease, Present, Sealed, SecondSignIn, SignedIn, SignedOut, Standing,
};
use crate::time::{Seconds, UnixTime};

/// How much longer than the call a lease lives: for the way there and back.
const MARGIN: Seconds = Seconds(3);

/// Published in the place of a grant that is kept anyway: it is large.
const KEPT: &str = "-";

/// A call that uses a refresh token. Its answer must not be lost, so it belongs to nobody's request.
pub struct Renewal {
    gate: Rc<Gate>,
    consumer: Rc<Consumer>,
    lease: Lease,
    session_id: String,
    session_ends_at: UnixTime,
    account_id: String,
    refresh_token: RefreshToken,
    /// What the old token may.
    scopes: Option<String>,
    call: Call,
    /// The life of the next token is counted from here: when its answer arrives it is younger.
    asked_at: UnixTime,
}

/// A request whose session is being renewed, at the time of its response.
#[derive(Clone, Debug)]
pub struct Watch {
    consumer: Rc<Consumer>,
    session_id: String,
    session_ends_at: UnixTime,
    grant_ends_at: UnixTime,
    present: Present,
}

/// Why a request cannot go on with its grants.
pub(super) enum Halt {
    /// The browser has a grant that this instance does not know.
    Away,
    /// Not yet: somebody renews one, or this renewal has to be made first.
    Later(Option<Box<Renewal>>),
    /// The session has no grant of the consumer that the rule names, or none that can be renewed.
    NoGrant(SecondSignIn),
    /// Bitbucket does not renew it.
    Over,
    /// Bitbucket could not be asked.
    Unknown,
}

/// The grants that a request goes on with.
pub(super) struct Good {
    /// The session, with the grant of the main sign-in.
    pub(super) signed_in: Rc<SignedIn>,
    /// The same session with the grant of the consumer that the rule names.
    pub(super) named: Option<Rc<SignedIn>>,
    /// What the response has to bring.
    pub(super) cookies: Vec<SetCookie>,
    /// What it brings as well, if that is there by then.
    pub(super) watch: Option<Watch>,
    /// The renewal to start.
    pub(super) renewal: Option<Box<Renewal>>,
}

impl Good {
    /// A grant to which nothing is done.
    pub(super) fn unchanged(signed_in: Rc<SignedIn>) -> Self {
        Self {
            signed_in,
            named: None,
            cookies: Vec::new(),
            watch: None,
            renewal: None,
        }
    }

    /// Whether nobody renews it now.
    pub(super) fn is_settled(&self) -> bool {
        self.watch.is_none() && self.renewal.is_none()
    }

    /// The session with the grant whose token the service gets.
    pub(super) fn injected(&self) -> &SignedIn {
        self.named.as_ref().unwrap_or(&self.signed_in)
    }
}

impl Gate {
    /// The grant of `consumer` that `signed_in` has by now. A warm request has a fresh one, and
    /// touches nothing.
    pub(super) fn current(
        self: &Rc<Self>,
        consumer: &Rc<Consumer>,
        signed_in: Rc<SignedIn>,
        cookies: &Cookies<'_>,
        host: &mut Host<'_>,
    ) -> Result<Good, Halt> {
        let is_due = host.now >= signed_in.renew_at();
        let mut good = Good::unchanged(Rc::clone(&signed_in));
        let refresh_token = signed_in.grant.refresh_token.as_ref();
        let Some(refresh_token) = refresh_token.filter(|_| is_due) else {
            return Ok(good);
        };
        let session = &signed_in.session;
        let ends_at = signed_in.grant.expires_at;
        let watch = Watch {
            consumer: Rc::clone(consumer),
            session_id: session.id.clone(),
            session_ends_at: session.expires_at,
            grant_ends_at: ends_at,
            present: consumer.cookies.present(cookies),
        };
        // Somebody may have renewed it whose response did not arrive: its refresh token is used up.
        let names = &consumer.cookies;
        if let Some((sealed, newer)) = names.known(&session.id, host.shared)
            && newer > ends_at
            && let Some(next) = self.sessions.follow(&signed_in, names, &sealed)
        {
            // What has ended too is renewed in its turn.
            if host.now >= newer {
                return self.current(consumer, next, cookies, host);
            }
            good.cookies = watch.cookies(&sealed, newer, host);
            good.signed_in = next;
            return Ok(good);
        }
        let renewals = &consumer.renewals;
        // The cookie that a request came with decides whether it needs a new one.
        let halt = match renewals.look(&session.id, ends_at, host.now, host.shared) {
            Standing::Renewed(sealed, ends_at) => {
                let cookies = &consumer.cookies;
                let (sealed, ends_at) = published(cookies, &session.id, (sealed, ends_at), host);
                let next = self.sessions.follow(&signed_in, cookies, &sealed);
                if let Some(next) = next.filter(|next| host.now < next.grant.expires_at) {
                    good.cookies = watch.cookies(&sealed, ends_at, host);
                    good.signed_in = next;
                    return Ok(good);
                }
                // Sealed with a key that this instance does not have, or over as well.
                Halt::Over
            }
            Standing::Leased => {
                good.watch = Some(watch);
                Halt::Later(None)
            }
            Standing::Failed { refusals, .. } if refusals >= 2 => Halt::Over,
            Standing::Failed { .. } | Standing::Full => Halt::Unknown,
            Standing::Free(_) if !self.circuit.allows(host.now, host.shared) => Halt::Unknown,
            Standing::Free(spot) => {
                let lease = renewals.lease(spot, &session.id, ends_at, self.patience(), host);
                let renewal = lease.map(|lease| {
                    let renewal =
                        self.renewal(consumer, lease, &signed_in, refresh_token, host.now);
                    Box::new(renewal)
                });
                good.watch = Some(watch);
                Halt::Later(renewal)
            }
        };
        // A token that still works is good for this request, whatever becomes of the next one.
        if host.now >= ends_at {
            return Err(halt);
        }
        if let Halt::Later(renewal) = halt {
            good.renewal = renewal;
        }
        Ok(good)
    }

    fn renewal(
        self: &Rc<Self>,
        consumer: &Rc<Consumer>,
        lease: Lease,
        signed_in: &SignedIn,
        refresh_token: &RefreshToken,
        asked_at: UnixTime,
    ) -> Renewal {
        let request = TokenRequest::RefreshToken(refresh_token);
        let session = &signed_in.session;
        Renewal {
            gate: Rc::clone(self),
            call: token_call(&self.config.bitbucket.web, &consumer.client, &request),
            consumer: Rc::clone(consumer),
            lease,
            session_id: session.id.clone(),
            session_ends_at: session.expires_at,
            account_id: session.identity.account_id.clone(),
            refresh_token: refresh_token.clone(),
            scopes: signed_in.grant.scopes.clone(),
            asked_at,
        }
    }

    /// What a response has to bring for a request that came while its session was being renewed.
    pub fn late_cookies(&self, watch: &Watch, host: &Host<'_>) -> Option<Vec<SetCookie>> {
        // Who signed out meanwhile gets nothing back.
        let place = self.signed_out.place(&watch.session_id);
        if SignedOut::has(&place, host.now, host.shared) {
            return Some(Vec::new());
        }
        let ends_at = watch.grant_ends_at;
        match watch
            .consumer
            .renewals
            .look(&watch.session_id, ends_at, host.now, host.shared)
        {
            Standing::Renewed(sealed, ends_at) => {
                let cookies = &watch.consumer.cookies;
                let (sealed, ends_at) =
                    published(cookies, &watch.session_id, (sealed, ends_at), host);
                match sealed.is_empty() {
                    true => Some(Vec::new()),
                    false => Some(watch.cookies(&sealed, ends_at, host)),
                }
            }
            Standing::Leased => None,
            Standing::Failed { .. } | Standing::Free(_) | Standing::Full => Some(Vec::new()),
        }
    }

    /// As long as a call may take, there and back: how long a lease lives, and a request waits.
    pub(super) fn patience(&self) -> Seconds {
        Seconds(self.config.bitbucket.web.timeout.0.saturating_add(MARGIN.0))
    }
}

impl Watch {
    fn cookies(&self, text: &str, ends_at: UnixTime, host: &Host<'_>) -> Vec<SetCookie> {
        let sealed = Sealed {
            session_id: &self.session_id,
            session_ends_at: self.session_ends_at,
            ends_at,
            text,
        };
        let cookies = &self.consumer.cookies;
        cookies.set(sealed, self.present, host.now, host.shared)
    }
}

/// The grant that was published, which is sealed, and when it ends.
fn published(
    cookies: &GrantCookies,
    session_id: &str,
    published: (String, UnixTime),
    host: &Host<'_>,
) -> (String, UnixTime) {
    match published.0.as_str() {
        // By now there may be a newer one. Who signed out has none.
        KEPT => cookies.known(session_id, host.shared).unwrap_or_default(),
        _ => published,
    }
}

impl Renewal {
    /// The call to make.
    #[must_use]
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// What requests wait for.
    pub(super) fn brings(&self) -> String {
        renewal_of(&self.session_id)
    }

    /// Publishes what came back, for every request of the session on every worker.
    pub fn finish(self, reply: Reply, host: &mut Host<'_>) -> Event {
        let Self {
            gate,
            consumer,
            lease,
            ..
        } = &self;
        let mut granted = match Granted::read(reply, self.asked_at) {
            Ok(granted) => granted,
            Err(error) => return self.fail(&error, host),
        };
        gate.circuit.succeeded(host.shared);
        // RFC 6749 section 6: without a new one the old one goes on.
        let refresh_token = granted.grant.refresh_token.take();
        granted.grant.refresh_token = refresh_token.or_else(|| Some(self.refresh_token.clone()));
        // The same for the scopes.
        let scopes = granted.grant.scopes.take();
        granted.grant.scopes = scopes.or_else(|| self.scopes.clone());
        let grant = &granted.grant;
        let (cookies, session_id) = (&consumer.cookies, &self.session_id);
        let sealed = gate
            .sessions
            .seal_grant(cookies, session_id, grant, host.now, host.random);
        let published = sealed.is_ok_and(|text| {
            let sealed = Sealed {
                session_id,
                session_ends_at: self.session_ends_at,
                ends_at: grant.expires_at,
                text: &text,
            };
            let text = match cookies.keep(sealed, host.now, host.shared) {
                true => KEPT,
                false => &text,
            };
            consumer
                .renewals
                .renewed(lease, text, grant.expires_at, host.now, host.shared)
        });
        let (event, reason) = match published {
            true => (EventKind::Renewed, None),
            false => (EventKind::NotRenewed, Some(Reason::TokensTooLarge)),
        };
        self.event(event, reason, None)
    }

    fn fail(&self, error: &InvalidTokenResponse, host: &mut Host<'_>) -> Event {
        let (failure, reason) = match error {
            InvalidTokenResponse::Refused(_) => (Failure::Refused, Reason::GrantRefused),
            InvalidTokenResponse::Malformed(_)
            | InvalidTokenResponse::Unavailable(_)
            | InvalidTokenResponse::NoAnswer(_) => {
                (Failure::Unavailable, Refusal::reason_of_no_token(error))
            }
        };
        match failure {
            Failure::Refused => self.gate.circuit.succeeded(host.shared),
            Failure::Unavailable => self.gate.circuit.failed(host.now, host.shared),
        }
        self.consumer
            .renewals
            .failed(&self.lease, failure, host.now, host.shared);
        let detail = format!("token endpoint: {error}");
        self.event(EventKind::NotRenewed, Some(reason), Some(detail))
    }

    fn event(&self, event: EventKind, reason: Option<Reason>, detail: Option<String>) -> Event {
        Event {
            reason,
            detail,
            account_id: Some(self.account_id.clone()),
            session: Some(self.session_id.clone()),
            consumer: self.consumer.name().map(str::to_owned),
            ..Event::new(event)
        }
    }
}

/// The word for what requests of a session wait for.
pub(super) fn renewal_of(session_id: &str) -> String {
    format!("renewal\n{session_id}")
}

impl fmt::Debug for Renewal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Renewal({:?})", self.call)
    }
}
