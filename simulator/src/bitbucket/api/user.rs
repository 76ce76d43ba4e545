//! `/2.0/user…`: the caller as an account.

use serde_json::json;

use super::query::{Field, Query};
use super::refusal::Refusal;
use super::row::full_name;
use super::workspace::PERMISSIONS;
use super::{Answer, Asked};
use crate::bitbucket::caller::Caller;
use crate::bitbucket::directory::{Role, Space};
use crate::bitbucket::settings::Person;

impl Asked<'_> {
    fn person(&self) -> Option<&Person> {
        let account_id = self.caller.account_id()?;
        self.places.person(&self.settings.people, account_id)
    }

    pub(super) fn user(&self) -> Result<Answer, Refusal> {
        if let Caller::AppUser(app) = self.caller {
            // The value of `kind` is a guess.
            let document = json!({
                "type": "app_user",
                "account_id": app.account_id,
                "uuid": app.uuid(),
                "account_status": "active",
                "display_name": app.name(),
                "kind": "oauth_consumer",
                "created_on": "2026-05-10T00:00:00.000000+00:00",
                "links": {},
            });
            return Ok((document, &[]));
        }
        let document = match self.person() {
            // Closed while its token lives.
            None => return Err(Refusal::Unauthorized),
            Some(person) => json!({
                "type": "user",
                "account_id": person.account_id,
                "uuid": person.uuid,
                "nickname": person.nickname,
                "display_name": person.display_name,
                "username": person.nickname,
                "account_status": "active",
                "is_staff": false,
                "links": {},
            }),
        };
        Ok((document, &[]))
    }

    pub(super) fn emails(&self) -> Result<Answer, Refusal> {
        let emails = self.person().map(|person| person.emails.as_slice());
        let emails = emails.unwrap_or_default().iter();
        let page = self.page(emails, |email| {
            json!({
                "type": "email",
                "email": email.email,
                "is_primary": email.is_primary,
                "is_confirmed": email.is_confirmed,
                "links": {},
            })
        })?;
        Ok((page, &[]))
    }

    /// Collaborators are in it as well: only the permission tells them from members.
    pub(super) fn user_workspaces(&self) -> Result<Answer, Refusal> {
        Query::read(self.parameters.get("q"), &[])?;
        let only = match self.parameters.get("administrator") {
            None => None,
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => return Err(Refusal::BadRequest("Invalid administrator".to_owned())),
        };
        let rows = self
            .spaces()
            .into_iter()
            .map(|(space, role)| (space, role == Role::Owner))
            .filter(|(_, administrator)| only.is_none_or(|only| only == *administrator));
        let page = self.page(rows, |(space, administrator)| {
            let mut workspace = self.workspace_object(&space.workspace);
            workspace["type"] = "workspace_base".into();
            json!({
                "type": "workspace_access",
                "administrator": administrator,
                "workspace": workspace,
            })
        })?;
        Ok((page, &[]))
    }

    pub(super) fn user_permission(&self, workspace: &str) -> Result<Answer, Refusal> {
        let space = self.space(workspace)?;
        let role = self.caller.role(space).ok_or(Refusal::Forbidden)?;
        let document = self.membership(space, self.account_id(), role);
        Ok((document, &["added_on", "last_accessed"]))
    }

    /// The explicit permissions of the caller. Public repositories are not in it.
    pub(super) fn user_repository_permissions(&self, workspace: &str) -> Result<Answer, Refusal> {
        let fields = [
            Field::Rank("permission", &PERMISSIONS),
            Field::Text("repository.full_name"),
            Field::Text("repository.name"),
            Field::Text("repository.uuid"),
        ];
        let query = Query::read(self.parameters.get("q"), &fields)?;
        let space = self.space(workspace)?;
        if let Caller::AccessToken(_) = self.caller {
            return Err(Refusal::Forbidden);
        }
        let grants = self.caller.permissions(space);
        let rows = grants.filter_map(|(repository, permission)| {
            let matches = query.matches(|field| match field {
                "permission" => permission.as_str().to_owned(),
                "repository.full_name" => full_name(space, repository),
                "repository.name" => repository.slug.clone(),
                _ => repository.uuid.clone(),
            });
            matches.then_some((self.account_id(), repository, permission))
        });
        let page = self.page(rows, |row| self.repository_permission(space, row))?;
        Ok((page, &[]))
    }

    /// Where the caller is something.
    fn spaces(&self) -> Vec<(&Space, Role)> {
        let directory = &self.settings.directory;
        match self.caller {
            Caller::AppUser(_) => directory
                .spaces()
                .filter_map(|space| Some((space, self.caller.role(space)?)))
                .collect(),
            _ => directory.spaces_of(self.account_id()).collect(),
        }
    }
}
