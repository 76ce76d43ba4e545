//! The objects of the answers.

use serde_json::{Value, json};

use super::Asked;
use crate::bitbucket::directory::{Permission, Repository, Role, Space, Workspace};

impl Asked<'_> {
    /// An account as rows know it. Of one that is closed there is no more than the id.
    pub(super) fn user_object(&self, account_id: &str) -> Value {
        let person = self.places.person(&self.settings.people, account_id);
        let mut user = match person {
            Some(person) => json!({
                "type": "user",
                "uuid": person.uuid,
                "nickname": person.nickname,
                "display_name": person.display_name,
                "links": {"self": {"href": self.href(&format!("users/{}", person.uuid))}},
            }),
            None => json!({"type": "user", "display_name": "Former user"}),
        };
        if self.settings.row_account_ids {
            user["account_id"] = account_id.into();
        }
        user
    }

    pub(super) fn workspace_object(&self, workspace: &Workspace) -> Value {
        json!({
            "type": "workspace",
            "uuid": workspace.uuid,
            "slug": workspace.slug,
            "name": workspace.name,
            "links": {"self": {"href": self.href(&format!("workspaces/{}", workspace.slug))}},
        })
    }

    pub(super) fn membership(&self, space: &Space, account_id: &str, role: Role) -> Value {
        let time = "2026-01-02T03:04:05.678901+00:00";
        json!({
            "type": "workspace_membership",
            "permission": role.as_str(),
            "user": self.user_object(account_id),
            "workspace": self.workspace_object(&space.workspace),
            "added_on": time,
            "last_accessed": time,
            "links": {"self": {"href": self.href(&format!(
                "workspaces/{}/members/{account_id}", space.workspace.slug
            ))}},
        })
    }

    pub(super) fn repository_permission(
        &self,
        space: &Space,
        (account_id, repository, permission): (&str, &Repository, Permission),
    ) -> Value {
        json!({
            "type": "repository_permission",
            "permission": permission.as_str(),
            "user": self.user_object(account_id),
            "repository": {
                "type": "repository",
                "uuid": repository.uuid,
                "name": repository.slug,
                "full_name": full_name(space, repository),
                "links": {"self": {"href": self.repository_href(space, repository)}},
            },
        })
    }

    pub(super) fn repository_object(&self, space: &Space, repository: &Repository) -> Value {
        let project = space.projects.get(&repository.project);
        json!({
            "type": "repository",
            "uuid": repository.uuid,
            "slug": repository.slug,
            "name": repository.slug,
            "full_name": full_name(space, repository),
            "is_private": repository.is_private,
            "scm": "git",
            "mainbranch": {"type": "branch", "name": "main"},
            "project": project.map(|project| json!({
                "type": "project",
                "uuid": project.uuid,
                "key": project.key,
                "name": project.name,
            })),
            "workspace": self.workspace_object(&space.workspace),
            "links": {"self": {"href": self.repository_href(space, repository)}},
        })
    }

    fn repository_href(&self, space: &Space, repository: &Repository) -> String {
        self.href(&format!("repositories/{}", full_name(space, repository)))
    }

    fn href(&self, path: &str) -> String {
        let path = path.replace('{', "%7B").replace('}', "%7D");
        format!("{}/2.0/{path}", self.settings.api_origin())
    }
}

pub(super) fn full_name(space: &Space, repository: &Repository) -> String {
    format!("{}/{}", space.workspace.slug, repository.slug)
}
