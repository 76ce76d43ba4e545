//! Renewing a grant before it ends, without anybody noticing.
//!
//! From 75 to 80% of the access token's life on, one request takes the session's lease. It goes
//! upstream at once with the token that still works; its response waits for the new grant, so that
//! the new cookie leaves with it. All others go on with the old token. After the token's end
//! requests wait for whoever holds the lease.

use std::fmt;
use std::rc::Rc;

use crate::bitbucket::{Granted, token_call};
use crate::gate::refusal::Refusal;
use crate::gate::{Event, EventKind, Gate, Reason};
use crate::host::Host;
use crate::http::{Call, Cookies, Reply, SetCookie};
use crate::oauth::{InvalidTokenResponse, RefreshToken, TokenRequest};
use crate::session::{Failure, Lease, SessionStore, SignedIn, SignedOut, Standing};
use crate::time::{Seconds, UnixTime};

/// How much longer than the call a lease lives: for the way there and back.
const MARGIN: Seconds = Seconds(3);

/// A call that uses a refresh token. Its answer must not be lost, so it belongs to nobody's request.
pub struct Renewal {
    gate: Rc<Gate>,
    lease: Lease,
    session_id: String,
    account_id: String,
    refresh_token: RefreshToken,
    call: Call,
    /// The life of the next token is counted from here: when its answer arrives it is younger.
    asked_at: UnixTime,
}

/// A request whose session is being renewed, at the time of its response.
#[derive(Clone, Debug)]
pub struct Watch {
    session_id: String,
    session_ends_at: UnixTime,
    grant_ends_at: UnixTime,
    present: Vec<&'static str>,
}

/// What a request can go on with.
pub(super) enum Current {
    /// This grant; what the response has to bring; and whoever renews it.
    Good(
        Rc<SignedIn>,
        Vec<SetCookie>,
        Option<Watch>,
        Option<Box<Renewal>>,
    ),
    /// Nothing yet: somebody is at it, or this renewal has to be made first.
    Later(Option<Box<Renewal>>),
    /// Bitbucket does not renew it.
    Over,
    /// Bitbucket could not be asked.
    Unknown,
}

impl Gate {
    /// The grant that `signed_in` has by now. A warm request has a fresh one, and touches nothing.
    pub(super) fn current(
        self: &Rc<Self>,
        signed_in: Rc<SignedIn>,
        cookies: &Cookies<'_>,
        host: &mut Host<'_>,
    ) -> Current {
        if host.now < signed_in.renew_at() {
            return Current::unchanged(signed_in);
        }
        let Some(refresh_token) = signed_in.grant.refresh_token.clone() else {
            return Current::unchanged(signed_in);
        };
        let session = &signed_in.session;
        let ends_at = signed_in.grant.expires_at;
        let is_good = host.now < ends_at;
        let watch = Watch {
            session_id: session.id.clone(),
            session_ends_at: session.expires_at,
            grant_ends_at: ends_at,
            present: SessionStore::grant_names(cookies),
        };
        // The cookie that a request came with decides whether it needs a new one.
        match self
            .renewals
            .look(&session.id, ends_at, host.now, host.shared)
        {
            Standing::Renewed(sealed) => {
                let next = self.sessions.follow(&signed_in, &sealed);
                match next.filter(|next| host.now < next.grant.expires_at) {
                    Some(next) => {
                        let cookies = watch.cookies(&sealed, host.now);
                        Current::Good(next, cookies, None, None)
                    }
                    // Sealed with a key that this instance does not have, or over as well.
                    None if is_good => Current::unchanged(signed_in),
                    None => Current::Over,
                }
            }
            Standing::Leased if is_good => Current::Good(signed_in, Vec::new(), Some(watch), None),
            Standing::Leased => Current::Later(None),
            Standing::Failed { .. } | Standing::Full if is_good => Current::unchanged(signed_in),
            Standing::Failed { refusals, .. } if refusals >= 2 => Current::Over,
            Standing::Failed { .. } | Standing::Full => Current::Unknown,
            Standing::Free(spot) => {
                if !self.circuit.allows(host.now, host.shared) {
                    return match is_good {
                        true => Current::unchanged(signed_in),
                        false => Current::Unknown,
                    };
                }
                let span = self.patience();
                let lease = self.renewals.lease(spot, &session.id, ends_at, span, host);
                let renewal = lease
                    .map(|lease| Box::new(self.renewal(lease, session, refresh_token, host.now)));
                match is_good {
                    true => Current::Good(signed_in, Vec::new(), Some(watch), renewal),
                    false => Current::Later(renewal),
                }
            }
        }
    }

    fn renewal(
        self: &Rc<Self>,
        lease: Lease,
        session: &crate::session::Session,
        refresh_token: RefreshToken,
        asked_at: UnixTime,
    ) -> Renewal {
        let bitbucket = &self.config.bitbucket;
        let request = TokenRequest::RefreshToken(&refresh_token);
        Renewal {
            gate: Rc::clone(self),
            call: token_call(&bitbucket.web, &bitbucket.client, &request),
            lease,
            session_id: session.id.clone(),
            account_id: session.identity.account_id.clone(),
            refresh_token,
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
        match self
            .renewals
            .look(&watch.session_id, ends_at, host.now, host.shared)
        {
            Standing::Renewed(sealed) => Some(watch.cookies(&sealed, host.now)),
            Standing::Leased => None,
            Standing::Failed { .. } | Standing::Free(_) | Standing::Full => Some(Vec::new()),
        }
    }

    /// As long as a call may take, there and back: how long a lease lives, and a request waits.
    pub(super) fn patience(&self) -> Seconds {
        Seconds(self.config.bitbucket.web.timeout.0.saturating_add(MARGIN.0))
    }
}

impl Current {
    /// The grant that came, and nothing to do about it.
    fn unchanged(signed_in: Rc<SignedIn>) -> Self {
        Self::Good(signed_in, Vec::new(), None, None)
    }
}

impl Watch {
    fn cookies(&self, sealed: &str, now: UnixTime) -> Vec<SetCookie> {
        SessionStore::grant_cookies(sealed, self.session_ends_at, &self.present, now)
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
        let Self { gate, lease, .. } = &self;
        let mut granted = match Granted::read(reply, self.asked_at) {
            Ok(granted) => granted,
            Err(error) => return self.fail(&error, host),
        };
        gate.circuit.succeeded(host.shared);
        // RFC 6749 section 6: without a new one the old one goes on.
        let refresh_token = granted.grant.refresh_token.take();
        granted.grant.refresh_token = refresh_token.or_else(|| Some(self.refresh_token.clone()));
        let grant = &granted.grant;
        let sealed = gate
            .sessions
            .seal_grant(&self.session_id, grant, host.now, host.random);
        let published = sealed.is_some_and(|sealed| {
            gate.renewals
                .renewed(lease, &sealed, grant.expires_at, host.now, host.shared)
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
        self.gate
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
