//! What an access token of a repository, a project or a workspace can see. It belongs to no account:
//! nothing below `/2.0/user` answers it.

use crate::bitbucket::answer::document;
use crate::bitbucket::workspace::{encoded, listing, page, text, uuid};
use crate::bitbucket::{Credential, Endpoint, InvalidAnswer, Page, Workspace};
use crate::http::{Call, Reply};
use crate::json::Json;
use crate::policy::{Name, Permission};

/// A repository that a credential sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VisibleRow {
    /// The workspace's slug now.
    pub workspace: String,
    /// The repository's slug now.
    pub slug: String,
    /// Its UUID, with braces and in lower case.
    pub uuid: String,
}

/// One workspace, by slug or UUID: what an access token of it, or of anything in it, can see.
#[must_use]
pub fn workspace_call(api: &Endpoint, credential: &Credential, workspace: &str) -> Call {
    let workspace = encoded(workspace);
    let path = format!("/2.0/workspaces/{workspace}?fields=slug,uuid,is_private");
    api.api_call(&path, credential)
}

/// Reads the answer to [`workspace_call`], and whether only members see the workspace. One that is public
/// is seen with any token of anybody's.
///
/// # Errors
/// [`InvalidAnswer`].
pub fn read_workspace(reply: Reply) -> Result<(Workspace, bool), InvalidAnswer> {
    let document = document(reply)?;
    let slug = text(&document, "slug").and_then(|slug| match Name::workspace(slug) {
        Ok(Name::Slug(slug)) => Some(slug),
        Ok(Name::Uuid(_)) | Err(_) => None,
    });
    let found = slug.zip(uuid(&document));
    let (slug, uuid) = found.ok_or(InvalidAnswer::Malformed("workspace"))?;
    let is_private = document.member("is_private").and_then(Json::as_bool) == Some(true);
    Ok((Workspace { slug, uuid }, is_private))
}

/// The repositories of a workspace in which the credential has a permission.
#[must_use]
pub fn visible_call(
    api: &Endpoint,
    credential: &Credential,
    workspace: &str,
    permission: Permission,
) -> Call {
    api.api_call(&visible_path(workspace, permission), credential)
}

/// The path of [`visible_call`].
#[must_use]
pub fn visible_path(workspace: &str, permission: Permission) -> String {
    let path = listing(workspace, permission);
    format!("{path}&fields=next,values.full_name,values.uuid")
}

/// Reads a page of [`visible_call`]. Rows with a slug that is none are left out.
///
/// # Errors
/// [`InvalidAnswer`].
pub fn read_visible(reply: Reply, api: &Endpoint) -> Result<Page<VisibleRow>, InvalidAnswer> {
    page(reply, api, visible)
}

/// One repository, by the UUIDs of its workspace and its own.
#[must_use]
pub fn repository_call(
    api: &Endpoint,
    credential: &Credential,
    workspace: &str,
    repository: &str,
) -> Call {
    let (workspace, repository) = (encoded(workspace), encoded(repository));
    let path = format!("/2.0/repositories/{workspace}/{repository}?fields=full_name,uuid");
    api.api_call(&path, credential)
}

/// Reads the answer to [`repository_call`].
///
/// # Errors
/// [`InvalidAnswer`].
pub fn read_repository(reply: Reply) -> Result<VisibleRow, InvalidAnswer> {
    let document = document(reply)?;
    let row = visible(&document).flatten();
    row.ok_or(InvalidAnswer::Malformed("repository"))
}

fn visible(row: &Json) -> Option<Option<VisibleRow>> {
    let (workspace, slug) = text(row, "full_name")?.split_once('/')?;
    let Ok(Name::Slug(slug)) = Name::repository(slug) else {
        return Some(None);
    };
    Some(Some(VisibleRow {
        workspace: workspace.to_owned(),
        slug,
        uuid: uuid(row)?,
    }))
}
