//! Whoever acts in a request, however they showed who they are.

use crate::bitbucket::Credential;
use crate::gate::Gate;
use crate::gate::caller::Caller;
use crate::gate::facts::TokenScopes;
use crate::identity::{Identity, PipelineStep, Principal};
use crate::oauth::AccessToken;
use crate::session::SignedIn;

/// Somebody about whom a rule can decide.
#[derive(Clone, Copy)]
pub(super) enum Actor<'a> {
    /// Who brought a credential along, which is good.
    Caller(&'a Caller),
    /// Who signed in, and whose main token works; and what the token may that the rule is about.
    Session(&'a SignedIn, TokenScopes<'a>),
}

/// How Bitbucket is asked about somebody.
pub(super) struct Asking {
    /// Whose calls they count as.
    pub(super) payer: Payer,
    /// What it is asked with.
    pub(super) credential: Credential,
    /// A word for the credential that does not tell it: that one is refused says nothing of others.
    pub(super) word: String,
}

impl Asking {
    /// A bot asks, whose token takes the place of the credential.
    pub(super) fn by_bot() -> Self {
        Self {
            payer: Payer::Site,
            credential: AccessToken::new("").into(),
            word: String::new(),
        }
    }
}

/// Whose calls count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payer {
    /// The consumer's, or those of the bot that asks in its place.
    Site,
    /// Those of callers that are known.
    Callers,
    /// Those of callers that nobody knows yet.
    Unknown,
}

impl<'a> Actor<'a> {
    pub(super) fn principal(self) -> Principal {
        match self {
            Self::Caller(caller) => caller.principal,
            Self::Session(..) => Principal::Person,
        }
    }

    /// Who, if they have an account.
    pub(super) fn identity(self) -> Option<&'a Identity> {
        match self {
            Self::Caller(caller) => caller.identity.as_ref(),
            Self::Session(signed_in, _) => Some(&signed_in.session.identity),
        }
    }

    pub(super) fn scopes(self) -> TokenScopes<'a> {
        match self {
            Self::Caller(_) => TokenScopes::Unsaid,
            Self::Session(_, scopes) => scopes,
        }
    }

    pub(super) fn step(self) -> Option<&'a PipelineStep> {
        match self {
            Self::Caller(caller) => caller.step(),
            Self::Session(..) => None,
        }
    }

    pub(super) fn issuer(self) -> Option<(&'a str, &'a str)> {
        match self {
            Self::Caller(caller) => caller.issuer(),
            Self::Session(..) => None,
        }
    }

    /// What answers about them are filed under: the account, or a name for the token.
    pub(super) fn about(self) -> &'a str {
        match (self.identity(), self) {
            (Some(identity), _) => &identity.account_id,
            (None, Self::Caller(caller)) => &caller.name,
            (None, Self::Session(..)) => "",
        }
    }

    /// Whether Bitbucket can say what they may: not about a pipeline, whose token it does not take.
    pub(super) fn can_be_asked_about(self) -> bool {
        match self {
            Self::Caller(caller) => caller.credential().is_some(),
            Self::Session(..) => true,
        }
    }

    /// How Bitbucket is asked about them.
    pub(super) fn asking(self, gate: &Gate) -> Option<Asking> {
        match self {
            Self::Caller(caller) => Some(Asking {
                payer: Payer::Callers,
                credential: caller.credential()?.clone(),
                word: caller.name.clone(),
            }),
            Self::Session(signed_in, _) => Some(Asking {
                payer: Payer::Site,
                credential: signed_in.grant.access_token.clone().into(),
                word: signed_in.sign_out_place(&gate.signed_out).name().to_owned(),
            }),
        }
    }
}
