//! Reason codes: one stable word for every refusal, the same in header, page and log line.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::gate::Level;
use crate::session::{Absence, NotIssued};

/// What is fixed about one reason.
struct Facts {
    code: &'static str,
    status: u16,
    level: Level,
    title: &'static str,
    text: &'static str,
}

/// Declares the reasons in one table, so that none can lack a part.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident: $code:literal, $status:literal, $level:ident, $title:literal, $text:literal;)+) => {
        /// Why a request was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Reason {
            $($(#[$doc])* $name,)+
        }

        impl Reason {
            /// All of them, in the order of their codes.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            fn facts(self) -> Facts {
                match self {
                    $(Self::$name => Facts {
                        code: $code,
                        status: $status,
                        level: Level::$level,
                        title: $title,
                        text: $text,
                    },)+
                }
            }
        }
    };
}

reasons! {
    /// The person said no at Bitbucket.
    AccessDenied: "access_denied", 403, Info, "You said no",
        "You did not let this site see who you are, so it cannot let you in.";
    /// The person is somebody else at Bitbucket than here.
    AccountMismatch: "account_mismatch", 403, Info, "You are somebody else at Bitbucket",
        "At Bitbucket you are signed in with another account than here. Sign in there with the one that you use \
         here and try again, or sign out here.";
    /// The account is none of those that the rule lists.
    AccountNotListed: "account_not_listed", 403, Info, "This page is not for your account",
        "It is for some accounts only, and yours is none of them.";
    /// Bitbucket does not say that the token belongs to an active person.
    AccountRefused: "account_refused", 403, Warn, "Bitbucket does not vouch for this account",
        "Signing in needs an active personal account at Bitbucket.";
    /// The budget for calls of this hour is used.
    ApiBudgetExhausted: "api_budget_exhausted", 503, Warn, "Bitbucket was asked too often",
        "This site may not ask Bitbucket more often in this hour. Please try again in a few minutes.";
    /// A person's API token without the address of the account.
    ApiTokenAlone: "api_token_alone", 401, Info, "An API token needs the address of its account",
        "Use the e-mail address of your Atlassian account as the name of the user, and an API token as the password.";
    /// A kind of password that Bitbucket took until July 2026.
    AppPasswordRemoved: "app_password_removed", 401, Info, "App passwords are gone",
        "Bitbucket has not taken app passwords since July 2026. Use an API token, with your e-mail address as the \
         name of the user.";
    /// The request cannot be judged.
    BadRequest: "bad_request", 400, Info, "This address cannot be understood",
        "It could mean two different things. Please check the address.";
    /// Bitbucket's answer has another shape than documented.
    BitbucketInvalidAnswer: "bitbucket_invalid_answer", 502, Warn, "Bitbucket gave a strange answer",
        "Signing in did not work. Please try again in a minute.";
    /// Bitbucket sent the browser back with an error.
    BitbucketRefused: "bitbucket_refused", 502, Warn, "Bitbucket refused this site",
        "The people who run this site need to look at its OAuth consumer at Bitbucket.";
    /// Bitbucket did not answer in time.
    BitbucketTimeout: "bitbucket_timeout", 504, Warn, "Bitbucket did not answer in time",
        "Nothing is wrong with your account. Please try again in a minute.";
    /// Bitbucket answers that it cannot answer.
    BitbucketUnavailable: "bitbucket_unavailable", 503, Warn, "Bitbucket is not available",
        "Nothing is wrong with your account. Please try again in a minute.";
    /// Bitbucket did not answer at all.
    BitbucketUnreachable: "bitbucket_unreachable", 503, Warn, "Bitbucket cannot be reached",
        "Nothing is wrong with your account. Please try again in a minute.";
    /// A bot whose token the rule passes on has none, and could not be given one.
    BotUnavailable: "bot_unavailable", 503, Warn, "Bitbucket cannot be asked right now",
        "This page needs a credential of this site that is not there at this time. Please try again in a minute.";
    /// Bitbucket does not accept our client credentials.
    ClientRefused: "client_refused", 502, Warn, "Bitbucket does not know this site",
        "The people who run this site need to check the key and the secret of its OAuth consumer.";
    /// Bitbucket does not accept the code.
    CodeRefused: "code_refused", 400, Warn, "Bitbucket did not accept this sign-in",
        "A sign-in works only once and only for a few minutes. Please start again.";
    /// The API token may not say whose it is.
    CredentialLacksScope: "credential_lacks_scope", 403, Info, "Your token lacks a scope",
        "It needs read:user:bitbucket, so that this site can ask Bitbucket whose it is.";
    /// Bitbucket does not accept the credential.
    CredentialRefused: "credential_refused", 401, Info, "Bitbucket does not accept this credential",
        "It has expired, was revoked, or belongs to another workspace.";
    /// Another site made the browser send this request.
    CrossSite: "cross_site", 403, Warn, "This request comes from another site",
        "A page of another site tried to do something here in your name. Nothing was done.";
    /// No confirmed primary address at a domain that the rule names.
    EmailNotAllowed: "email_not_allowed", 403, Info, "This page is not for your e-mail address",
        "It is for people whose confirmed primary address at Bitbucket has a certain domain.";
    /// A rule lets nobody through.
    Forbidden: "forbidden", 403, Info, "This page is closed",
        "Nobody may open it.";
    /// The browser has the tokens of the session, and this instance does not.
    GrantElsewhere: "grant_elsewhere", 503, Info, "Please try again",
        "This site has just been restarted and needs what your browser keeps for it. Open any page of it first.";
    /// Bitbucket does not renew the tokens of the session.
    GrantRefused: "grant_refused", 401, Info, "Your session has ended",
        "Bitbucket does not extend it. Please sign in again.";
    /// Without the permission on the repository or project.
    InsufficientPermission: "insufficient_permission", 403, Info, "You lack a permission at Bitbucket",
        "This page needs more rights to a repository than you have.";
    /// The token lacks a scope that the rule asks for.
    InsufficientScope: "insufficient_scope", 403, Info, "This needs another permission",
        "What this site may do at Bitbucket in your name is not enough for it.";
    /// The callback's query is no authorization response.
    InvalidCallback: "invalid_callback", 400, Warn, "This is not how a sign-in ends",
        "Please go to the page that you wanted and start again.";
    /// No token, or one that cannot be verified.
    InvalidToken: "invalid_token", 401, Info, "This token is not accepted",
        "It is malformed, was not issued for this site, or its signature does not hold.";
    /// The keys of a token's issuer could not be had.
    KeysUnavailable: "keys_unavailable", 503, Warn, "Your token cannot be checked right now",
        "The keys of whoever issued it cannot be fetched. Please try again in a minute.";
    /// The callback came after ten minutes.
    LoginExpired: "login_expired", 400, Info, "This sign-in took too long",
        "Please start again.";
    /// Three sign-ins within a minute, and still no session.
    LoginLoop: "login_loop", 400, Warn, "Signing in does not stick",
        "Signing in worked several times, but your browser came back without a session.";
    /// An endpoint was asked with another method.
    MethodNotAllowed: "method_not_allowed", 405, Info, "This does not work that way",
        "The address expects another method.";
    /// CONNECT, TRACE or TRACK.
    MethodNotSupported: "method_not_supported", 501, Info, "This method is not supported here",
        "This site does not pass it on.";
    /// The token has fewer scopes than the configuration names.
    MissingScope: "missing_scope", 403, Warn, "This site lacks a permission at Bitbucket",
        "The people who run this site need to tick it on its OAuth consumer.";
    /// The session lacks the grant of the consumer that the rule names.
    NoGrant: "no_grant", 401, Info, "Please sign in once more",
        "This page needs a permission at Bitbucket that the site has not asked you for yet.";
    /// The host gave no random bytes.
    NoRandomness: "no_randomness", 503, Warn, "This is not possible right now",
        "Please try again in a minute.";
    /// No rule matches.
    NoRule: "no_rule", 403, Info, "This page is closed",
        "No rule of this site opens it.";
    /// There is no session.
    NoSession: "no_session", 401, Info, "Please sign in",
        "This page is for people who signed in with Bitbucket.";
    /// The rule passes on a token of Bitbucket's, and whoever acts has none.
    NoToken: "no_token", 403, Warn, "There is no token to pass on",
        "The service needs a token of Bitbucket's, and a pipeline has none of its own.";
    /// Not a member of the workspace, or without the role.
    NotAMember: "not_a_member", 403, Info, "You are not a member",
        "This page is for members of a workspace at Bitbucket that you do not belong to.";
    /// Several conditions of the rule, none of which holds.
    NotAllowed: "not_allowed", 403, Info, "You may not open this page",
        "You do not fulfil the conditions of this page.";
    /// Below our prefix, but none of our endpoints.
    NotFound: "not_found", 404, Info, "There is no such page",
        "Please check the address.";
    /// Not a member of the group.
    NotInGroup: "not_in_group", 403, Info, "You are not in the group",
        "This page is for a group of people that you do not belong to.";
    /// Not the step, or not the issuer, that the rule asks for.
    PipelineNotAllowed: "pipeline_not_allowed", 403, Info, "This is for other pipelines",
        "The token does not come from the workspace, repository, branch or environment that may.";
    /// Bitbucket answered that there were too many calls.
    RateLimited: "rate_limited", 503, Warn, "Bitbucket asks this site to wait",
        "Nothing is wrong with your account. Please try again in a minute.";
    /// The token has ended, and Bitbucket could not be asked for the next one.
    RenewalUnavailable: "renewal_unavailable", 503, Warn, "Bitbucket cannot be asked right now",
        "You are still signed in. Please try again in a few seconds.";
    /// Bitbucket could not be asked what the person may do, and nothing that is young enough is known.
    RightsUnavailable: "rights_unavailable", 503, Warn, "Bitbucket cannot be asked right now",
        "Nobody can say at this time what you may do here. Please try again in a minute.";
    /// There was a session.
    SessionExpired: "session_expired", 401, Info, "Your session has ended",
        "Please sign in again.";
    /// The session was signed out, or taken back by the configuration.
    SessionRevoked: "session_revoked", 401, Info, "Your session was ended",
        "Please sign in again.";
    /// A slug that its workspace or repository does not have any more.
    SlugReused: "slug_reused", 403, Warn, "This name has changed hands",
        "A workspace or repository of this name was known here before. It was renamed, or this is another one.";
    /// The callback belongs to no login that this browser began.
    StateMismatch: "state_mismatch", 400, Warn, "This sign-in was not started here",
        "It was started in another browser, is already complete, or cookies are blocked. \
         Please go to the page that you wanted and start again.";
    /// The time of the token is over.
    TokenExpired: "token_expired", 401, Info, "This token has expired",
        "Please get a new one.";
    /// The tokens do not fit the cookies of a grant.
    TokensTooLarge: "tokens_too_large", 502, Warn, "Bitbucket's tokens are too large",
        "The people who run this site need to know: signing in again will not help.";
    /// A sign-in or sign-out in early data of TLS, which can be replayed (RFC 8470).
    TooEarly: "too_early", 425, Info, "That was too early",
        "Please try again.";
    /// No configuration was accepted.
    Unconfigured: "unconfigured", 503, Warn, "This site is not ready",
        "Please try again in a minute.";
    /// The token is meant for somebody else.
    WrongAudience: "wrong_audience", 401, Info, "This token is for somebody else",
        "Its audience is none of those that this site accepts.";
    /// A request for another host than the one of the site.
    WrongHost: "wrong_host", 421, Info, "This is not the address of this site",
        "Please use the site's own address.";
    /// Another kind of principal than the rule asks for.
    WrongPrincipal: "wrong_principal", 403, Info, "This is not for you",
        "This page is for another kind of user, such as programs.";
}

impl Reason {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        self.facts().code
    }

    /// The status code of the response.
    #[must_use]
    pub fn status(self) -> u16 {
        self.facts().status
    }

    /// Whether the credential is no good that the request brought (`invalid_token` of RFC 6750 section
    /// 3.1), rather than missing.
    #[must_use]
    pub fn is_about_token(self) -> bool {
        matches!(
            self,
            Self::ApiTokenAlone
                | Self::AppPasswordRemoved
                | Self::CredentialRefused
                | Self::InvalidToken
                | Self::TokenExpired
                | Self::WrongAudience
        )
    }

    /// How loud it is in the log.
    #[must_use]
    pub fn level(self) -> Level {
        self.facts().level
    }

    /// The heading of its page.
    #[must_use]
    pub fn title(self) -> &'static str {
        self.facts().title
    }

    /// What its page tells a person.
    #[must_use]
    pub fn text(self) -> &'static str {
        self.facts().text
    }
}

impl From<Absence> for Reason {
    fn from(absence: Absence) -> Self {
        match absence {
            // At our endpoints nobody else has it either.
            Absence::Away | Absence::Missing => Self::NoSession,
            Absence::Expired => Self::SessionExpired,
            Absence::Revoked => Self::SessionRevoked,
        }
    }
}

impl From<NotIssued> for Reason {
    fn from(error: NotIssued) -> Self {
        match error {
            NotIssued::NoRandomness => Self::NoRandomness,
            NotIssued::TooLarge => Self::TokensTooLarge,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

impl Serialize for Reason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_words() {
        let mut codes: Vec<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert!(
            codes
                .iter()
                .all(|code| code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
        );
        let count = codes.len();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), count);
    }
}
