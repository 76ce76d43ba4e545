//! From a question to calls, and from their replies to an answer.

use std::fmt;

use crate::bitbucket::{
    Credential, Endpoint, InvalidAnswer, directory_call, groups_call, membership_call, next_call,
    persons_repositories_call, projects_call, read_directory, read_groups, read_membership,
    read_owner, read_projects, read_repositories, read_repository, read_visible, read_workspace,
    read_workspaces, repositories_call, repository_call, user_call, visible_call, visible_path,
    workspace_call, workspaces_call,
};
use crate::http::{Call, Reply};
use crate::policy::Permission;
use crate::rights::{Answer, Question, Refused, Row};
use crate::time::Seconds;

/// The most pages of a list, of 100 rows each.
const MAX_PAGES: u32 = 50;

/// The same of the list of all members.
const MAX_PAGES_OF_MEMBERS: u32 = 200;

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
    /// More pages than are read, or more than can be shared.
    TooMuch,
    /// Bitbucket could not be asked, or gave an answer of another shape.
    Unavailable(InvalidAnswer),
}

impl Failure {
    /// The word for shared data, and for how long nobody tries again.
    pub(super) fn word(&self, session: &str) -> (String, Seconds) {
        match self {
            Self::LacksScope(_) => (format!("scope:{session}"), Seconds(60)),
            // The budget knows when to come again.
            Self::Budget | Self::RateLimited(_) => ("unavailable".to_owned(), Seconds(0)),
            Self::Token => (format!("token:{session}"), Seconds(30)),
            // It took 50 calls to find out.
            Self::TooMuch => ("unavailable".to_owned(), Seconds(3_600)),
            Self::Unavailable(_) if self.is_about_this() => {
                ("unavailable".to_owned(), Seconds(300))
            }
            Self::Unavailable(_) => ("unavailable".to_owned(), Seconds(5)),
        }
    }

    /// Whether Bitbucket answered, and would answer other questions. It may not like the looks of a
    /// credential, and whoever brings a few such must not stop the questions about others.
    #[must_use]
    pub fn is_answer(&self) -> bool {
        let is_odd = matches!(
            self,
            Self::Unavailable(InvalidAnswer::Unavailable(400..=499))
        );
        is_odd || self.is_about_this()
    }

    /// Whether the answer is likely to stay: that a bot may not see a workspace which somebody made up
    /// is no outage.
    fn is_about_this(&self) -> bool {
        match self {
            Self::Unavailable(InvalidAnswer::Denied(status)) => *status == 403,
            Self::Unavailable(InvalidAnswer::NotFound) => true,
            Self::Unavailable(
                InvalidAnswer::LacksScope(_)
                | InvalidAnswer::Malformed(_)
                | InvalidAnswer::NoAnswer(_)
                | InvalidAnswer::RateLimited(_)
                | InvalidAnswer::Unavailable(_),
            ) => false,
            Self::Budget
            | Self::LacksScope(_)
            | Self::RateLimited(_)
            | Self::Token
            | Self::TooMuch => true,
        }
    }

    /// What the word means for `session`. That the token of another session is not accepted says
    /// nothing about this one.
    pub(super) fn refused(word: &str, session: &str) -> Option<Refused> {
        match word.split_once(':') {
            Some(("token", theirs)) => (theirs == session).then_some(Refused::Token),
            Some((_, theirs)) => (theirs == session).then_some(Refused::LacksScope),
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
            Self::TooMuch => {
                f.write_str("expected at most 50 pages, 200 of members, and 1 MB, but found more")
            }
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
    slug: Option<String>,
    rows: Vec<Row>,
}

impl Collected {
    /// Nothing yet, for `question` about `account_id`.
    #[must_use]
    pub fn new(question: Question, asker: Asker, account_id: &str) -> Self {
        Self {
            question,
            asker,
            account_id: account_id.to_owned(),
            pages: 0,
            slug: None,
            rows: Vec::new(),
        }
    }

    /// The question.
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// The call to begin with.
    #[must_use]
    pub fn call(&self, api: &Endpoint, credential: &Credential) -> Call {
        match (&self.question, self.asker) {
            (Question::Account, _) => user_call(api, credential),
            (Question::Called(workspace, repository), _) => {
                repository_call(api, credential, workspace, repository)
            }
            (Question::Reach(workspace), _) => workspace_call(api, credential, workspace),
            (Question::Visible(workspace, permission), _) => {
                visible_call(api, credential, workspace, *permission)
            }
            (Question::Directory(workspace), _) => directory_call(api, credential, workspace),
            (Question::Groups(workspace), _) => groups_call(api, credential, workspace),
            (Question::Projects(workspace, permission), _) => {
                projects_call(api, credential, workspace, *permission)
            }
            (Question::Repositories(workspace), Asker::Person) => {
                repositories_call(api, credential, workspace)
            }
            (Question::Repositories(workspace), Asker::Bot) => {
                persons_repositories_call(api, credential, workspace, &self.account_id)
            }
            (Question::Role(workspace), _) => membership_call(api, credential, workspace),
            (Question::Workspaces, _) => workspaces_call(api, credential),
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
        credential: &Credential,
    ) -> Result<Option<Call>, Failure> {
        let next = match self.read(reply, api) {
            Ok(next) => next,
            Err(InvalidAnswer::Denied(_) | InvalidAnswer::NotFound) if self.asks_whose() => {
                self.rows.clear();
                None
            }
            // Who has no role in a workspace, or sees none of it, gets 403 or 404.
            Err(InvalidAnswer::Denied(403) | InvalidAnswer::NotFound) if self.may_have_none() => {
                None
            }
            Err(error) => return Err(self.failure(error)),
        };
        self.pages = self.pages.saturating_add(1);
        match next {
            Some(_) if self.pages >= self.max_pages() => Err(Failure::TooMuch),
            Some(next) => Ok(Some(next_call(api, credential, &next))),
            None => Ok(None),
        }
    }

    fn max_pages(&self) -> u32 {
        match self.question {
            Question::Directory(_) => MAX_PAGES_OF_MEMBERS,
            Question::Account
            | Question::Called(..)
            | Question::Groups(_)
            | Question::Projects(..)
            | Question::Reach(_)
            | Question::Repositories(_)
            | Question::Role(_)
            | Question::Visible(..)
            | Question::Workspaces => MAX_PAGES,
        }
    }

    /// Whether it is the credential that is asked about: that it is refused is the answer.
    fn asks_whose(&self) -> bool {
        matches!(self.question, Question::Account | Question::Reach(_))
    }

    fn may_have_none(&self) -> bool {
        let is_in_one = match self.question {
            Question::Projects(..)
            | Question::Repositories(_)
            | Question::Role(_)
            | Question::Visible(..) => true,
            // A repository that is gone has no name.
            Question::Called(..) => return self.pages == 0,
            Question::Account
            | Question::Directory(_)
            | Question::Groups(_)
            | Question::Reach(_)
            | Question::Workspaces => false,
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

    /// Takes in the rows of a page, and gives the address of the next one.
    fn read(&mut self, reply: Reply, api: &Endpoint) -> Result<Option<String>, InvalidAnswer> {
        match self.question {
            Question::Account => {
                let (principal, account) = read_owner(reply)?;
                let kind = principal.as_str().to_owned();
                self.rows.push(Row::new(&account.account_id, kind));
                Ok(None)
            }
            Question::Called(..) => {
                let row = read_repository(reply)?;
                self.rows.push(Row::new(&row.slug, row.uuid));
                Ok(None)
            }
            // Everybody sees a workspace that is public, but nobody else is a member of what is in it.
            Question::Reach(_) if self.pages > 0 => {
                if read_visible(reply, api)?.rows.is_empty() {
                    self.rows.clear();
                }
                Ok(None)
            }
            Question::Reach(_) => {
                let (workspace, is_private) = read_workspace(reply)?;
                let visible = || visible_path(&workspace.uuid, Permission::Read);
                let next = (!is_private).then(visible);
                self.rows.push(Row::new(&workspace.slug, workspace.uuid));
                Ok(next)
            }
            Question::Visible(_, permission) => {
                let page = read_visible(reply, api)?;
                for row in page.rows {
                    self.is_about(Some(row.workspace))?;
                    self.rows
                        .push(Row::of_repository(&row.slug, permission, &row.uuid));
                }
                Ok(page.next)
            }
            Question::Directory(_) => {
                let page = read_directory(reply, api)?;
                for member in page.rows {
                    self.is_about(member.workspace)?;
                    let role = member.role.as_str().to_owned();
                    self.rows
                        .push(Row::new(&member.account_id.unwrap_or_default(), role));
                }
                Ok(page.next)
            }
            Question::Groups(_) => {
                for (account_id, groups) in read_groups(reply)? {
                    self.rows.push(Row::new(&account_id, groups));
                }
                Ok(None)
            }
            Question::Projects(..) => {
                let page = read_projects(reply, api)?;
                for row in page.rows {
                    self.is_about(Some(row.workspace))?;
                    self.rows.push(Row::new(&row.key, String::new()));
                }
                Ok(page.next)
            }
            Question::Repositories(_) => {
                let page = read_repositories(reply, api)?;
                for row in page.rows {
                    let is_theirs = row.account_id.as_deref() == Some(self.account_id.as_str());
                    if self.asker == Asker::Bot && !is_theirs {
                        return Err(InvalidAnswer::Malformed("user"));
                    }
                    self.is_about(Some(row.workspace))?;
                    let row = Row::of_repository(&row.slug, row.permission, &row.uuid);
                    self.rows.push(row);
                }
                Ok(page.next)
            }
            Question::Role(_) => {
                let member = read_membership(reply)?;
                let slug = member
                    .workspace
                    .ok_or(InvalidAnswer::Malformed("workspace"))?;
                self.rows
                    .push(Row::new(&slug, member.role.as_str().to_owned()));
                Ok(None)
            }
            Question::Workspaces => {
                let page = read_workspaces(reply, api)?;
                let rows = page.rows.into_iter();
                self.rows
                    .extend(rows.map(|row| Row::new(&row.slug, row.uuid)));
                Ok(page.next)
            }
        }
    }

    /// All rows of an answer are about one workspace.
    fn is_about(&mut self, slug: Option<String>) -> Result<(), InvalidAnswer> {
        match (&self.slug, slug) {
            (None, found) => {
                self.slug = found;
                Ok(())
            }
            (Some(known), Some(found)) if *known != found => {
                Err(InvalidAnswer::Malformed("workspace"))
            }
            (Some(_), _) => Ok(()),
        }
    }

    /// The whole answer.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] if its rows contradict each other.
    pub fn finish(self) -> Result<Answer, Failure> {
        let malformed = Failure::Unavailable(InvalidAnswer::Malformed("values"));
        Answer::new(self.slug, &self.rows).ok_or(malformed)
    }
}
