//! `/2.0/repositories/…`: what a caller can see. What it cannot see does not exist.

use super::query::{Field, Query};
use super::refusal::Refusal;
use super::row::full_name;
use super::{Answer, Asked};
use crate::bitbucket::directory::{Permission, Repository, Space};

impl Asked<'_> {
    /// Anybody may ask, and gets public repositories at least. A role counts explicit permissions
    /// only.
    pub(super) fn repositories(&self, workspace: &str) -> Result<Answer, Refusal> {
        let fields = [
            Field::Flag("is_private"),
            Field::Text("full_name"),
            Field::Text("name"),
            Field::Text("project.key"),
            Field::Text("slug"),
            Field::Text("uuid"),
        ];
        let query = Query::read(self.parameters.get("q"), &fields)?;
        let least = match self.parameters.get("role") {
            None => None,
            Some("member") => Some(Permission::Read),
            Some("contributor") => Some(Permission::Write),
            Some("admin") => Some(Permission::Admin),
            Some(_) => return Err(Refusal::BadRequest("Invalid role".to_owned())),
        };
        let unknown = || Refusal::no_workspace(workspace);
        let space = self.settings.directory.space(workspace);
        let space = space.ok_or_else(unknown)?;
        let rows = self
            .candidates(space, least.is_some())
            .filter(|repository| {
                let permission = self.caller.permission(space, repository);
                let is_visible = match least {
                    None => !repository.is_private || permission.is_some(),
                    Some(_) => permission >= least,
                };
                is_visible
                    && query.matches(|field| match field {
                        "is_private" => repository.is_private.to_string(),
                        "full_name" => full_name(space, repository),
                        "project.key" => repository.project.clone(),
                        "uuid" => repository.uuid.clone(),
                        _ => repository.slug.clone(),
                    })
            });
        let page = self.page(rows, |repository| self.repository_object(space, repository))?;
        Ok((page, &[]))
    }

    pub(super) fn repository(&self, workspace: &str, repository: &str) -> Result<Answer, Refusal> {
        let unknown = || Refusal::no_repository(workspace, repository);
        let space = self.settings.directory.space(workspace);
        let space = space.ok_or_else(unknown)?;
        let repository = space.repository(repository).ok_or_else(unknown)?;
        let is_visible =
            !repository.is_private || self.caller.permission(space, repository).is_some();
        match is_visible {
            true => Ok((self.repository_object(space, repository), &[])),
            false => Err(unknown()),
        }
    }

    /// All repositories; for who asks for its own, those with a permission, so that nobody waits
    /// for the rest.
    fn candidates<'s>(
        &'s self,
        space: &'s Space,
        is_explicit: bool,
    ) -> Box<dyn Iterator<Item = &'s Repository> + 's> {
        match is_explicit {
            true => {
                let permitted = self.caller.permissions(space);
                Box::new(permitted.map(|(repository, _)| repository))
            }
            false => Box::new(space.repositories.values()),
        }
    }
}
