//! From a question to calls, and from their replies to an answer.

use std::collections::BTreeMap;
use std::fmt;

use crate::bitbucket::{
    Endpoint, InvalidAnswer, directory_call, groups_call, membership_call, next_call,
    persons_repositories_call, projects_call, read_directory, read_groups, read_membership,
    read_projects, read_repositories, read_workspaces, repositories_call, workspaces_call,
};
use crate::http::{Call, Reply};
use crate::oauth::AccessToken;
use crate::policy::Role;
use crate::rights::answer::Grant;
use crate::rights::{Answer, Question, Refused};
use crate::time::Seconds;

/// The most pages of a list, of 100 rows each.
const MAX_PAGES: u32 = 50;

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// A bot, about somebody else.
    Bot,
    /// The person whom the question is about.
    Person,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The budget of this hour is used.
    Budget,
    /// The token lacks these scopes.
    LacksScope(String),
    /// Bitbucket says that there were too many calls.
    RateLimited(Option<Seconds>),
    /// Bitbucket does not accept the token.
    Token,
    /// More than 50 pages, or more than can be shared.
    TooMuch,
    /// Bitbucket could not be asked, or gave an answer of another shape.
    Unavailable(InvalidAnswer),
}

impl Failure {
    /// The word for shared data, and for how long nobody tries again.
    pub(super) fn word(&self, session: &str) -> (String, Seconds) {
        match self {
            Self::LacksScope(_) => ("scope".to_owned(), Seconds(60)),
            // The budget knows when to come again.
            Self::Budget | Self::RateLimited(_) => ("unavailable".to_owned(), Seconds(0)),
            Self::Token => (format!("token:{session}"), Seconds(30)),
            Self::TooMuch => ("unavailable".to_owned(), Seconds(60)),
            Self::Unavailable(_) => ("unavailable".to_owned(), Seconds(5)),
        }
    }

    /// What the word means for `session`. That the token of another session is not accepted says
    /// nothing about this one.
    pub(super) fn refused(word: &str, session: &str) -> Option<Refused> {
        match word.strip_prefix("token:") {
            Some(theirs) => (theirs == session).then_some(Refused::Token),
            None if word == "scope" => Some(Refused::LacksScope),
            None => Some(Refused::Unavailable),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Budget => f.write_str("expected calls to be left, but found none"),
            Self::LacksScope(names) => write!(f, "expected a token with {names}, but found less"),
            Self::RateLimited(_) => f.write_str("expected an answer, but found status 429"),
            Self::Token => f.write_str("expected a token that is accepted, but found status 401"),
            Self::TooMuch => f.write_str("expected at most 50 pages and 1 MB, but found more"),
            Self::Unavailable(answer) => answer.fmt(f),
        }
    }
}

/// An answer that is being put together, page by page.
#[derive(Debug)]
pub struct Collected {
    question: Question,
    asker: Asker,
    account_id: String,
    pages: u32,
    answer: Answer,
}

impl Collected {
    /// Nothing yet, for `question` about `account_id`.
    #[must_use]
    pub fn new(question: Question, asker: Asker, account_id: &str) -> Self {
        let answer = match &question {
            Question::Directory(_) => Answer::Directory(None, BTreeMap::new()),
            Question::Groups(_) => Answer::Groups(BTreeMap::new()),
            Question::Projects(..) => Answer::Projects(None, Vec::new()),
            Question::Repositories(_) => Answer::Repositories(None, Vec::new()),
            Question::Role(_) => Answer::Role(None),
            Question::Workspaces => Answer::Workspaces(Vec::new()),
        };
        Self {
            question,
            asker,
            account_id: account_id.to_owned(),
            pages: 0,
            answer,
        }
    }

    /// The question.
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// The call to begin with.
    #[must_use]
    pub fn call(&self, api: &Endpoint, token: &AccessToken) -> Call {
        match (&self.question, self.asker) {
            (Question::Directory(workspace), _) => directory_call(api, token, workspace),
            (Question::Groups(workspace), _) => groups_call(api, token, workspace),
            (Question::Projects(workspace, permission), _) => {
                projects_call(api, token, workspace, *permission)
            }
            (Question::Repositories(workspace), Asker::Person) => {
                repositories_call(api, token, workspace)
            }
            (Question::Repositories(workspace), Asker::Bot) => {
                persons_repositories_call(api, token, workspace, &self.account_id)
            }
            (Question::Role(workspace), _) => membership_call(api, token, workspace),
            (Question::Workspaces, _) => workspaces_call(api, token),
        }
    }

    /// Takes in a reply, and gives the call for the next page, if there is one.
    ///
    /// # Errors
    /// [`Failure`]: the whole list is of no use then, since a part of it would deny what is granted.
    pub fn take(
        &mut self,
        reply: Reply,
        api: &Endpoint,
        token: &AccessToken,
    ) -> Result<Option<Call>, Failure> {
        let next = match self.read(reply, api) {
            Ok(next) => next,
            // Who has no role in a workspace, or sees none of it, gets 403 or 404.
            Err(InvalidAnswer::Denied(403) | InvalidAnswer::NotFound) if self.may_have_none() => {
                None
            }
            Err(error) => return Err(self.failure(error)),
        };
        self.pages = self.pages.saturating_add(1);
        match next {
            Some(_) if self.pages >= MAX_PAGES => Err(Failure::TooMuch),
            Some(next) => Ok(Some(next_call(api, token, &next))),
            None => Ok(None),
        }
    }

    fn may_have_none(&self) -> bool {
        let is_in_one = match self.question {
            Question::Projects(..) | Question::Repositories(_) | Question::Role(_) => true,
            Question::Directory(_) | Question::Groups(_) | Question::Workspaces => false,
        };
        is_in_one && self.asker == Asker::Person && self.pages == 0
    }

    fn failure(&self, error: InvalidAnswer) -> Failure {
        match (error, self.asker) {
            (InvalidAnswer::LacksScope(names), _) => Failure::LacksScope(names),
            (InvalidAnswer::RateLimited(after), _) => Failure::RateLimited(after),
            (InvalidAnswer::Denied(401), Asker::Person) => Failure::Token,
            (error, _) => Failure::Unavailable(error),
        }
    }

    fn read(&mut self, reply: Reply, api: &Endpoint) -> Result<Option<String>, InvalidAnswer> {
        let (asker, account_id) = (self.asker, self.account_id.as_str());
        match &mut self.answer {
            Answer::Directory(slug, members) => {
                let page = read_directory(reply, api)?;
                for member in page.rows {
                    same_slug(slug, member.workspace)?;
                    if let Some(account_id) = member.account_id {
                        let role = members.entry(account_id).or_insert(Role::Collaborator);
                        *role = member.role.max(*role);
                    }
                }
                Ok(page.next)
            }
            Answer::Groups(members) => {
                for (group, ids) in read_groups(reply)? {
                    for id in ids {
                        members.entry(id).or_default().push(group.clone());
                    }
                }
                for groups in members.values_mut() {
                    groups.sort_unstable();
                    groups.dedup();
                }
                Ok(None)
            }
            Answer::Projects(slug, keys) => {
                let page = read_projects(reply, api)?;
                for row in page.rows {
                    same_slug(slug, Some(row.workspace))?;
                    keys.push(row.key);
                }
                keys.sort_unstable();
                keys.dedup();
                Ok(page.next)
            }
            Answer::Repositories(slug, grants) => {
                let page = read_repositories(reply, api)?;
                for row in page.rows {
                    if asker == Asker::Bot && row.account_id.as_deref() != Some(account_id) {
                        return Err(InvalidAnswer::Malformed("user"));
                    }
                    same_slug(slug, Some(row.workspace))?;
                    grants.push(Grant::new(row.slug, row.uuid, row.permission));
                }
                // The same repository on two pages: the higher permission is the effective one.
                grants.sort_by(|a, b| (&a.slug, b.permission).cmp(&(&b.slug, a.permission)));
                grants.dedup_by(|a, b| a.slug == b.slug && a.uuid == b.uuid);
                let names = grants.iter().zip(grants.iter().skip(1));
                match names.into_iter().any(|(a, b)| a.slug == b.slug) {
                    true => Err(InvalidAnswer::Malformed("full_name")),
                    false => Ok(page.next),
                }
            }
            Answer::Role(found) => {
                let member = read_membership(reply)?;
                let slug = member
                    .workspace
                    .ok_or(InvalidAnswer::Malformed("workspace"))?;
                *found = Some((slug, member.role));
                Ok(None)
            }
            Answer::Workspaces(found) => {
                let page = read_workspaces(reply, api)?;
                found.extend(page.rows.into_iter().map(|row| (row.slug, row.uuid)));
                Ok(page.next)
            }
        }
    }

    /// The whole answer.
    #[must_use]
    pub fn finish(self) -> Answer {
        self.answer
    }
}

/// All rows of an answer are about one workspace.
fn same_slug(known: &mut Option<String>, found: Option<String>) -> Result<(), InvalidAnswer> {
    match (known.as_ref(), found) {
        (_, None) => Ok(()),
        (Some(known), Some(found)) if *known == found => Ok(()),
        (Some(_), Some(_)) => Err(InvalidAnswer::Malformed("workspace")),
        (None, found @ Some(_)) => {
            *known = found;
            Ok(())
        }
    }
}
