//! Who brought a credential along instead of a session.
//!
//! Bitbucket is asked about its own tokens: once in `rights.max_age`, whichever worker sees them. What it
//! says is filed under a keyed hash.

use std::borrow::Cow;
use std::rc::Rc;

use crate::bitbucket::Credential;
use crate::config::Config;
use crate::gate::access::Patience;
use crate::gate::actor::{Asking, Payer};
use crate::gate::facts::Need;
use crate::gate::lookup::Asked;
use crate::gate::presented::TokenKind;
use crate::gate::waiting::Wait;
use crate::gate::{Gate, Job, Reason};
use crate::host::Host;
use crate::identity::{Identity, PipelineStep, Principal};
use crate::issuers::{Issuer, Judged, VerifiedToken};
use crate::jose::{Claims, InvalidToken};
use crate::rights::{Budget, Known, Priority, Question};
use crate::session::Subject;
use crate::time::{Seconds, UnixTime};

/// For how long a token is refused without asking again: one may have been made a moment ago, and
/// Bitbucket has days on which it refuses good ones (BCLOUD-24107).
const REFUSED: Seconds = Seconds(60);

/// Somebody whose credential is good.
#[derive(Debug)]
pub(super) struct Caller {
    pub(super) principal: Principal,
    /// Their account, if they have one.
    pub(super) identity: Option<Identity>,
    /// Stands for the credential in shared data and in logs, and does not tell it. Empty for a JWT, of
    /// which nothing is kept there.
    pub(super) name: String,
    pub(super) proof: Proof,
    /// Then it is no good any more, whatever else.
    pub(super) ends_at: UnixTime,
}

/// What they brought.
#[derive(Debug)]
pub(super) enum Proof {
    /// Bitbucket's own credential.
    Credential(Credential),
    /// A JWT of this issuer.
    Token(Rc<VerifiedToken>, Rc<Issuer>),
}

impl Caller {
    /// Whoever a verified token names. Its subject is nobody's account at Bitbucket, whatever it says.
    pub(super) fn of(token: Rc<VerifiedToken>, issuer: Rc<Issuer>) -> Self {
        Self {
            principal: match token.step {
                Some(_) => Principal::Pipeline,
                None => Principal::Bot,
            },
            identity: None,
            name: String::new(),
            ends_at: Claims::is_over_at(token.expires_at),
            proof: Proof::Token(token, issuer),
        }
    }

    /// Bitbucket's own credential, if they brought one.
    pub(super) fn credential(&self) -> Option<&Credential> {
        match &self.proof {
            Proof::Credential(credential) => Some(credential),
            Proof::Token(..) => None,
        }
    }

    /// Who issued the token that they brought, and its subject.
    pub(super) fn issuer(&self) -> Option<(&str, &str)> {
        match &self.proof {
            Proof::Credential(_) => None,
            Proof::Token(token, issuer) => Some((&issuer.issuer, &token.subject)),
        }
    }

    /// What the token of a pipeline says.
    pub(super) fn step(&self) -> Option<&PipelineStep> {
        match &self.proof {
            Proof::Credential(_) => None,
            Proof::Token(token, _) => token.step.as_ref(),
        }
    }

    /// What log lines call them.
    pub(super) fn label(&self) -> String {
        let kind = self.principal.as_str();
        match (self.step(), self.issuer()) {
            (Some(step), _) => {
                let run = step.step.as_deref().unwrap_or("?");
                let branch = step.branch.as_deref().unwrap_or("no branch");
                format!("{kind} {} step {run} {branch}", step.repository)
            }
            (None, Some((issuer, subject))) => format!("{kind} {issuer} {subject}"),
            (None, None) => format!("{kind} {}", self.name),
        }
    }

    /// What tells their tokens from those of others.
    pub(super) fn key(&self) -> Cow<'_, str> {
        match &self.proof {
            Proof::Credential(_) => Cow::Borrowed(&self.name),
            // The subject of a pipeline has the step in it.
            Proof::Token(token, issuer) => {
                Cow::Owned(format!("{} {}", issuer.issuer, token.subject))
            }
        }
    }

    /// For tokens that say who they are.
    pub(super) fn subject<'c>(&'c self, key: &'c str) -> Subject<'c> {
        let account = self.identity.as_ref();
        let account = account.map(|identity| identity.account_id.as_str());
        let issuer = self.issuer();
        let said = issuer.map(|(_, subject)| subject);
        Subject {
            key,
            principal: self.principal,
            subject: Some(account.or(said).unwrap_or(&self.name)),
            email: None,
            auth_time: None,
            token_issuer: issuer.map(|(issuer, _)| issuer),
            step: self.step(),
        }
    }
}

/// Why a credential is nobody's.
#[derive(Debug)]
pub(super) enum NoCaller {
    /// It is no good; what was expected, where that helps.
    Refused(Reason, Option<String>),
    /// Nobody can say.
    Unavailable(Reason),
    /// It has to be asked first.
    Waits(Wait),
}

/// What calls about callers may cost.
#[derive(Debug)]
pub(super) struct CallerBudgets {
    is_used: bool,
    pub(super) budget: Budget,
    pub(super) unknown_budget: Budget,
}

impl CallerBudgets {
    pub(super) fn new(config: &Config) -> Self {
        let origin = config.public.origin.as_str();
        let callers = config.callers.as_ref();
        let budget = |name, limit: Option<u32>| Budget::new(origin, name, limit.unwrap_or(0));
        Self {
            is_used: callers.is_some(),
            budget: budget("callers", callers.map(|callers| callers.api_budget)),
            unknown_budget: budget(
                "unknown_callers",
                callers.map(|callers| callers.unknown_budget),
            ),
        }
    }

    pub(super) fn budgets(&self) -> impl Iterator<Item = &Budget> {
        let used = self.is_used.then_some([&self.budget, &self.unknown_budget]);
        used.into_iter().flatten()
    }
}

impl Gate {
    /// Whose a JWT is that names one of the issuers.
    pub(super) fn bearer_of(&self, judged: Judged, patience: Patience) -> Result<Caller, NoCaller> {
        let wait = |job, wants| Wait {
            job,
            wants,
            reason: Reason::KeysUnavailable,
        };
        match judged {
            Judged::Verified(token) => {
                let issuer = self.issuers.get(token.issuer);
                let issuer = issuer.ok_or(NoCaller::Unavailable(Reason::KeysUnavailable))?;
                let issuer = Rc::clone(issuer);
                Ok(Caller::of(token, issuer))
            }
            Judged::NotOurs => Err(NoCaller::Refused(Reason::InvalidToken, None)),
            Judged::Refused(issuer, why) => {
                let issuer = self.issuers.get(issuer);
                let name = issuer.map_or("", |issuer| issuer.issuer.as_str());
                let detail = format!("{name}: {why}");
                Err(NoCaller::Refused(Reason::from(why), Some(detail)))
            }
            // Whoever has the lease begins the job, however long the request has waited.
            Judged::Fetch(_, fetch) => {
                let wants = fetch.brings();
                Err(NoCaller::Waits(wait(Some(Job::Keys(fetch)), wants)))
            }
            Judged::Wait(_, wants) if patience == Patience::Left => {
                Err(NoCaller::Waits(wait(None, wants)))
            }
            Judged::Wait(..) | Judged::Unavailable(_) => {
                Err(NoCaller::Unavailable(Reason::KeysUnavailable))
            }
        }
    }

    /// Whose one of Bitbucket's tokens is.
    pub(super) fn owner(
        self: &Rc<Self>,
        kind: TokenKind,
        credential: Credential,
        patience: Patience,
        host: &mut Host<'_>,
    ) -> Result<Caller, NoCaller> {
        let name = self.name_of(&credential);
        let workspace = || self.config.callers.as_ref()?.workspace.as_ref();
        let question = match kind {
            TokenKind::Access => {
                let workspace =
                    workspace().ok_or(NoCaller::Refused(Reason::CredentialRefused, None))?;
                Question::Reach(workspace.as_str().to_owned())
            }
            TokenKind::Api | TokenKind::OAuth => Question::Account,
        };
        // An answer by another worker is there at the second look.
        for _ in 0..2 {
            let known = self.rights.find(&question, &name, host.now, host.shared);
            let need = match &known {
                Some(known) if is_settled(known, host) => {
                    return self.known_caller(known, name, credential);
                }
                known => Need {
                    question: question.clone(),
                    asked_at: known.as_ref().map(|known| known.asked_at),
                },
            };
            let is_known = known.as_ref().is_some_and(is_accepted);
            let asking = Asking {
                payer: match is_known {
                    true => Payer::Callers,
                    false => Payer::Unknown,
                },
                credential: credential.clone(),
                word: name.clone(),
            };
            let priority = match known {
                // Stale ones come again all day, and leave some calls to those that nobody knows.
                Some(_) if !is_known => Priority::Refresh { overdue_percent: 0 },
                Some(_) | None => Priority::New,
            };
            let asked = match patience {
                Patience::Left => self.ask_as(&need, priority, &name, asking, host),
                Patience::Over => Asked::Refused(Reason::RightsUnavailable),
            };
            let wait = |job| NoCaller::Waits(self.wait_for(&need, &name, job));
            match asked {
                Asked::Answered => self.rights.forget(&question, &name),
                Asked::Job(job) => return Err(wait(Some(job))),
                Asked::Leased => return Err(wait(None)),
                Asked::LacksScope => {
                    return Err(NoCaller::Refused(Reason::CredentialLacksScope, None));
                }
                Asked::Token => return Err(NoCaller::Refused(Reason::CredentialRefused, None)),
                // What was known holds for `grace`.
                Asked::Refused(reason) => {
                    return match known {
                        Some(known) => {
                            self.rights.settle(&question, &name, host.now);
                            self.known_caller(&known, name, credential)
                        }
                        None => Err(NoCaller::Unavailable(reason)),
                    };
                }
            }
        }
        Err(NoCaller::Unavailable(Reason::RightsUnavailable))
    }

    /// Whom an answer names.
    fn known_caller(
        &self,
        known: &Known,
        name: String,
        credential: Credential,
    ) -> Result<Caller, NoCaller> {
        let refused = || NoCaller::Refused(Reason::CredentialRefused, None);
        let row = known.answer.rows().first().ok_or_else(refused)?;
        let is = |kind: &Principal| row.value == kind.as_str();
        let principal = [Principal::Person, Principal::Bot].into_iter().find(is);
        let identity = principal.map(|_| Identity {
            account_id: row.key.clone(),
            email: None,
            nickname: None,
        });
        Ok(Caller {
            // What belongs to a workspace has no account.
            principal: principal.unwrap_or(Principal::Bot),
            identity,
            name,
            proof: Proof::Credential(credential),
            ends_at: known.asked_at.plus(self.rights.terms().grace),
        })
    }

    fn wait_for(&self, need: &Need, name: &str, job: Option<Job>) -> Wait {
        Wait {
            job,
            wants: need.question.key(name),
            reason: Reason::RightsUnavailable,
        }
    }

    /// A name for a credential, which does not tell it.
    fn name_of(&self, credential: &Credential) -> String {
        let ring = self.sessions.ring();
        match credential {
            Credential::Token(token) => ring.name_of("", token.expose()),
            Credential::ApiToken { email, token } => ring.name_of(email, token.expose()),
        }
    }
}

fn is_accepted(known: &Known) -> bool {
    !known.answer.rows().is_empty()
}

fn is_settled(known: &Known, host: &Host<'_>) -> bool {
    known.is_settled && (is_accepted(known) || host.now < known.asked_at.plus(REFUSED))
}

impl From<InvalidToken> for Reason {
    fn from(why: InvalidToken) -> Self {
        match why {
            InvalidToken::Expired => Self::TokenExpired,
            InvalidToken::WrongAudience => Self::WrongAudience,
            InvalidToken::Algorithm
            | InvalidToken::BadSignature
            | InvalidToken::Claim
            | InvalidToken::Malformed
            | InvalidToken::NotYetValid
            | InvalidToken::UnknownKey
            | InvalidToken::WrongIssuer => Self::InvalidToken,
        }
    }
}
