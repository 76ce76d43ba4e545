//! `/2.0/workspaces/…` and `/1.0/groups/…`: a workspace, and what its administrators may see.

use serde_json::{Value, json};

use super::query::{Field, Query};
use super::refusal::Refusal;
use super::row::full_name;
use super::{Answer, Asked};

/// From the least to the greatest.
pub(super) const PERMISSIONS: [&str; 3] = ["read", "write", "admin"];
const ROLES: [&str; 3] = ["collaborator", "member", "owner"];

impl Asked<'_> {
    pub(super) fn workspace(&self, workspace: &str) -> Result<Answer, Refusal> {
        let space = self.space(workspace)?;
        let mut document = self.workspace_object(&space.workspace);
        document["is_private"] = true.into();
        Ok((document, &[]))
    }

    /// Everybody's role, of collaborators too.
    pub(super) fn permissions(&self, workspace: &str) -> Result<Answer, Refusal> {
        let fields = [
            Field::Rank("permission", &ROLES),
            Field::Text("user.account_id"),
            Field::Text("user.uuid"),
        ];
        let query = Query::read(self.parameters.get("q"), &fields)?;
        let space = self.administered(workspace)?;
        let rows = space.members.iter().filter(|(account_id, role)| {
            query.matches(|field| match field {
                "permission" => role.as_str().to_owned(),
                "user.account_id" => (*account_id).clone(),
                _ => self.uuid_of(account_id),
            })
        });
        let page = self.page(rows, |(account_id, role)| {
            self.membership(space, account_id, *role)
        })?;
        Ok((page, &["added_on", "last_accessed"]))
    }

    /// Everybody's explicit permissions, on all repositories or on one.
    pub(super) fn repository_permissions(
        &self,
        workspace: &str,
        repository: Option<&str>,
    ) -> Result<Answer, Refusal> {
        let fields = [
            Field::Rank("permission", &PERMISSIONS),
            Field::Text("repository.full_name"),
            Field::Text("repository.name"),
            Field::Text("repository.uuid"),
            Field::Text("user.account_id"),
            Field::Text("user.uuid"),
        ];
        let query = Query::read(self.parameters.get("q"), &fields)?;
        let space = self.administered(workspace)?;
        let on = match repository {
            None => None,
            Some(name) => {
                let unknown = || Refusal::no_repository(workspace, name);
                Some(&space.repository(name).ok_or_else(unknown)?.uuid)
            }
        };
        // Whoever asks for one person waits for one person's rows only.
        let with_uuid = |uuid| {
            let person = self.places.with_uuid(&self.settings.people, uuid);
            person.map_or("", |person| person.account_id.as_str())
        };
        let account_id = query.exactly("user.account_id");
        let account_id = account_id.or_else(|| query.exactly("user.uuid").map(with_uuid));
        let one = account_id.map(|account_id| space.grants.get_key_value(account_id));
        let all = one.is_none().then(|| space.grants.iter());
        let grants = one.flatten().into_iter().chain(all.into_iter().flatten());
        let rows = grants.flat_map(|(account_id, grants)| {
            grants
                .iter()
                .map(move |(uuid, permission)| (account_id.as_str(), uuid, *permission))
        });
        let rows = rows.filter_map(|(account_id, uuid, permission)| {
            let repository = space.repositories.get(uuid)?;
            let is_on = on.is_none_or(|on| on == uuid);
            let matches = query.matches(|field| match field {
                "permission" => permission.as_str().to_owned(),
                "repository.full_name" => full_name(space, repository),
                "repository.name" => repository.slug.clone(),
                "repository.uuid" => repository.uuid.clone(),
                "user.account_id" => account_id.to_owned(),
                _ => self.uuid_of(account_id),
            });
            (is_on && matches).then_some((account_id, repository, permission))
        });
        let page = self.page(rows, |row| self.repository_permission(space, row))?;
        Ok((page, &[]))
    }

    /// A bare list: no pages, no `fields`.
    pub(super) fn groups(&self, workspace: &str) -> Result<Answer, Refusal> {
        let space = self.administered(workspace)?;
        let groups = space.groups.values().map(|group| {
            let members = group.members.iter().map(|account_id| {
                let mut member = self.user_object(account_id);
                if let Some(fields) = member.as_object_mut() {
                    fields.remove("type");
                    fields.remove("links");
                }
                member["account_id"] = account_id.as_str().into();
                member["is_team"] = false.into();
                member["is_staff"] = false.into();
                member
            });
            json!({
                "name": group.name,
                "slug": group.slug,
                "permission": "write",
                "auto_add": false,
                "email_forwarding_disabled": false,
                "members": members.collect::<Vec<Value>>(),
                "owner": {
                    "display_name": space.workspace.name,
                    "uuid": space.workspace.uuid,
                    "is_team": true,
                },
            })
        });
        Ok((groups.collect(), &[]))
    }

    fn uuid_of(&self, account_id: &str) -> String {
        let person = self.places.person(&self.settings.people, account_id);
        person.map(|person| person.uuid.clone()).unwrap_or_default()
    }
}
