//! Everything that is known about Bitbucket Cloud: addresses, answers, and where it departs from
//! the RFCs.

mod answer;
mod credential;
mod pipelines;
mod scope;
mod token;
mod user;
mod visible;
mod workspace;

pub use answer::{InvalidAnswer, is_account_id};
pub use credential::{Credential, git_authorization};
pub use pipelines::{
    WORKSPACE_CLAIM, pipelines_audience, pipelines_issuer, pipelines_keys_call, read_step,
};
pub use scope::Scopes;
pub use token::{AUTHORIZE_PATH, Granted, token_call};
pub use user::{Account, emails_call, read_emails, read_owner, read_user, user_call};
pub use visible::{
    VisibleRow, read_repository, read_visible, read_workspace, repository_call, visible_call,
    visible_path, workspace_call,
};
pub use workspace::{
    Member, Page, ProjectRow, RepositoryRow, Workspace, directory_call, groups_call, is_group,
    membership_call, next_call, persons_repositories_call, projects_call, read_directory,
    read_groups, read_membership, read_projects, read_repositories, read_workspaces,
    repositories_call, workspaces_call,
};

use crate::http::{Call, HeaderValue};
use crate::time::Seconds;

/// One of Bitbucket's two hosts, as the configuration says how to reach it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The cluster's name in Envoy.
    pub cluster: String,
    /// `https`, or `http` for a loopback host.
    pub scheme: &'static str,
    /// Host, and port unless it is the scheme's own.
    pub authority: String,
    /// Until then the whole answer must be there.
    pub timeout: Seconds,
}

impl Endpoint {
    /// The origin, without a slash at its end.
    #[must_use]
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// A call without a credential.
    #[must_use]
    pub fn call(&self, method: &'static str, path: &str) -> Call {
        Call {
            cluster: self.cluster.clone(),
            method,
            scheme: self.scheme,
            authority: self.authority.clone(),
            path: path.to_owned(),
            headers: vec![
                ("accept", HeaderValue::fixed("application/json")),
                (
                    "user-agent",
                    HeaderValue::fixed(concat!("bitgate/", env!("CARGO_PKG_VERSION"))),
                ),
            ],
            body: Vec::new(),
            timeout: self.timeout,
        }
    }

    /// A question to the API. The credential goes into the header and nowhere else: since May 2026
    /// Bitbucket refuses it in a query or a body.
    fn api_call(&self, path: &str, credential: &Credential) -> Call {
        let mut call = self.call("GET", path);
        // A token that is no header value was refused when it was read.
        if let Some(value) = credential.authorization() {
            call.headers.push(("authorization", value));
        }
        call
    }
}
