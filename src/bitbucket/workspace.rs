//! What somebody may do in a workspace. Nothing here that Bitbucket removed in April 2026.
//!
//! Workspaces are asked for by UUID, with its braces encoded. Lists are paged; `next` is followed
//! on the configured host only. `fields` makes an answer small; one that ignores it is read as well.

use crate::bitbucket::answer::document;
use crate::bitbucket::{Credential, Endpoint, InvalidAnswer, is_account_id};
use crate::http::{Call, Reply, RequestTarget};
use crate::json::Json;
use crate::policy::{Name, Permission, Role, is_project_key};
use crate::sorted::sorted;

/// A part of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// Its rows.
    pub rows: Vec<T>,
    /// Path and query of the next page on the API host, if there is one.
    pub next: Option<String>,
}

/// A workspace by both of its names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workspace {
    /// Its slug now.
    pub slug: String,
    /// Its UUID, with braces and in lower case.
    pub uuid: String,
}

/// Somebody's role in a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The account, if the answer names it.
    pub account_id: Option<String>,
    /// The role.
    pub role: Role,
    /// The workspace's slug now, if the answer names it.
    pub workspace: Option<String>,
}

/// Somebody's permission on a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositoryRow {
    /// The account, if the answer names it.
    pub account_id: Option<String>,
    /// The workspace's slug now.
    pub workspace: String,
    /// The repository's slug now.
    pub slug: String,
    /// Its UUID, with braces and in lower case.
    pub uuid: String,
    /// The highest permission.
    pub permission: Permission,
}

/// A repository's project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectRow {
    /// The workspace's slug now.
    pub workspace: String,
    /// The project's key.
    pub key: String,
}

/// The workspaces of the token's person.
#[must_use]
pub fn workspaces_call(api: &Endpoint, credential: &Credential) -> Call {
    let fields = "fields=next,values.workspace.slug,values.workspace.uuid";
    api.api_call(
        &format!("/2.0/user/workspaces?pagelen=100&{fields}"),
        credential,
    )
}

/// The role of the token's person in a workspace: one call, no list. Who has none gets 403 or 404.
#[must_use]
pub fn membership_call(api: &Endpoint, credential: &Credential, workspace: &str) -> Call {
    let workspace = encoded(workspace);
    api.api_call(
        &format!("/2.0/user/workspaces/{workspace}/permission"),
        credential,
    )
}

const REPOSITORY_FIELDS: &str =
    "fields=next,values.permission,values.repository.uuid,values.repository.full_name";

/// What the token's person may do with the repositories of a workspace, as far as it was granted:
/// public ones without a grant are not listed.
#[must_use]
pub fn repositories_call(api: &Endpoint, credential: &Credential, workspace: &str) -> Call {
    let workspace = encoded(workspace);
    let path = format!("/2.0/user/workspaces/{workspace}/permissions/repositories");
    api.api_call(
        &format!("{path}?pagelen=100&{REPOSITORY_FIELDS}"),
        credential,
    )
}

/// The repositories of a workspace in which the token's person has a permission, for their projects.
#[must_use]
pub fn projects_call(
    api: &Endpoint,
    credential: &Credential,
    workspace: &str,
    permission: Permission,
) -> Call {
    let fields = "fields=next,values.full_name,values.project.key";
    let path = listing(workspace, permission);
    api.api_call(&format!("{path}&{fields}"), credential)
}

/// The repositories of a workspace in which the credential has a permission.
pub(super) fn listing(workspace: &str, permission: Permission) -> String {
    let workspace = encoded(workspace);
    let role = match permission {
        Permission::Read => "member",
        Permission::Write => "contributor",
        Permission::Admin => "admin",
    };
    format!("/2.0/repositories/{workspace}?role={role}&pagelen=100")
}

/// Everybody's role in a workspace, for an administrator's token.
#[must_use]
pub fn directory_call(api: &Endpoint, credential: &Credential, workspace: &str) -> Call {
    let workspace = encoded(workspace);
    let fields = "fields=next,values.permission,values.user.account_id,values.workspace.slug";
    let path = format!("/2.0/workspaces/{workspace}/permissions?pagelen=100&{fields}");
    api.api_call(&path, credential)
}

/// What somebody may do with the repositories of a workspace, for an administrator's token.
#[must_use]
pub fn persons_repositories_call(
    api: &Endpoint,
    credential: &Credential,
    workspace: &str,
    account_id: &str,
) -> Call {
    let workspace = encoded(workspace);
    let question = format!("user.account_id=\"{account_id}\"");
    let question: String = form_urlencoded::byte_serialize(question.as_bytes()).collect();
    let path = format!("/2.0/workspaces/{workspace}/permissions/repositories");
    let fields = format!("{REPOSITORY_FIELDS},values.user.account_id");
    api.api_call(
        &format!("{path}?q={question}&pagelen=100&{fields}"),
        credential,
    )
}

/// The groups of a workspace with their members, for an administrator's token. Not paged.
#[must_use]
pub fn groups_call(api: &Endpoint, credential: &Credential, workspace: &str) -> Call {
    api.api_call(&format!("/1.0/groups/{}", encoded(workspace)), credential)
}

/// The page behind one that was read, by [`Page::next`].
#[must_use]
pub fn next_call(api: &Endpoint, credential: &Credential, next: &str) -> Call {
    api.api_call(next, credential)
}

/// RFC 3986 does not allow braces in a path.
pub(super) fn encoded(name: &str) -> String {
    name.replace('{', "%7B").replace('}', "%7D")
}

/// Reads a page of [`workspaces_call`]. Rows with a slug that is none, such as a UUID without its braces,
/// are left out: anybody can call a workspace so and invite people to it.
///
/// # Errors
/// [`InvalidAnswer`].
pub fn read_workspaces(reply: Reply, api: &Endpoint) -> Result<Page<Workspace>, InvalidAnswer> {
    page(reply, api, |row| {
        let workspace = row.member("workspace")?;
        let (slug, uuid) = (text(workspace, "slug")?, uuid(workspace)?);
        let Ok(Name::Slug(slug)) = Name::workspace(slug) else {
            return Some(None);
        };
        Some(Some(Workspace { slug, uuid }))
    })
}

/// Reads the answer to [`membership_call`].
///
/// # Errors
/// [`InvalidAnswer`]; [`InvalidAnswer::Denied`] with 403 and [`InvalidAnswer::NotFound`] say that there is
/// no role.
pub fn read_membership(reply: Reply) -> Result<Member, InvalidAnswer> {
    member(&document(reply)?).ok_or(InvalidAnswer::Malformed("permission"))
}

/// Reads a page of [`directory_call`].
///
/// # Errors
/// [`InvalidAnswer`].
pub fn read_directory(reply: Reply, api: &Endpoint) -> Result<Page<Member>, InvalidAnswer> {
    // Whose row it is cannot be guessed; a role of another name grants nothing.
    page(reply, api, |row| account_of(row).map(|_| member(row)))
}

fn member(row: &Json) -> Option<Member> {
    let role = Role::read(text(row, "permission")?)?;
    let workspace = row
        .member("workspace")
        .and_then(|found| text(found, "slug"));
    Some(Member {
        account_id: account_of(row),
        role,
        workspace: workspace.map(str::to_owned),
    })
}

/// Reads a page of [`repositories_call`] or [`persons_repositories_call`]. Rows with a slug that is
/// none, or a permission of another name, are left out: nothing is granted by them.
///
/// # Errors
/// [`InvalidAnswer`].
pub fn read_repositories(
    reply: Reply,
    api: &Endpoint,
) -> Result<Page<RepositoryRow>, InvalidAnswer> {
    page(reply, api, |row| {
        let repository = row.member("repository")?;
        let (workspace, slug) = text(repository, "full_name")?.split_once('/')?;
        let Some(permission) = Permission::read(text(row, "permission")?) else {
            return Some(None);
        };
        let Ok(Name::Slug(slug)) = Name::repository(slug) else {
            return Some(None);
        };
        Some(Some(RepositoryRow {
            account_id: account_of(row),
            workspace: workspace.to_owned(),
            slug,
            uuid: uuid(repository)?,
            permission,
        }))
    })
}

/// Reads a page of [`projects_call`]. A repository without a project is left out.
///
/// # Errors
/// [`InvalidAnswer`].
pub fn read_projects(reply: Reply, api: &Endpoint) -> Result<Page<ProjectRow>, InvalidAnswer> {
    page(reply, api, |row| {
        let (workspace, _) = text(row, "full_name")?.split_once('/')?;
        let key = row
            .member("project")
            .and_then(|project| text(project, "key"));
        let row = key.filter(|key| is_project_key(key)).map(|key| ProjectRow {
            workspace: workspace.to_owned(),
            key: key.to_owned(),
        });
        Some(row)
    })
}

/// Reads the answer to [`groups_call`]: account ids, each with the slugs of its groups in order and with
/// commas between.
///
/// # Errors
/// [`InvalidAnswer`].
pub fn read_groups(reply: Reply) -> Result<Vec<(String, String)>, InvalidAnswer> {
    let malformed = InvalidAnswer::Malformed("groups");
    let document = document(reply)?;
    let mut pairs: Vec<String> = Vec::new();
    for row in document.as_array().ok_or(malformed.clone())? {
        let slug = text(row, "slug").filter(|slug| is_group(slug));
        let members = row.member("members").and_then(Json::as_array);
        let (slug, members) = slug.zip(members).ok_or(malformed.clone())?;
        // A member without an id cannot sign in.
        let ids = members
            .iter()
            .filter_map(|member| text(member, "account_id"));
        pairs.extend(
            ids.filter(|id| is_account_id(id))
                .map(|id| format!("{id},{slug}")),
        );
    }
    let mut pairs = sorted(pairs.iter().map(String::as_str).collect());
    pairs.dedup();
    let mut accounts: Vec<(String, String)> = Vec::new();
    // No id has a comma.
    for (id, slug) in pairs.iter().filter_map(|pair| pair.split_once(',')) {
        match accounts.last_mut().filter(|(last, _)| last == id) {
            Some((_, groups)) => groups.extend([",", slug]),
            None => accounts.push((id.to_owned(), slug.to_owned())),
        }
    }
    Ok(accounts)
}

/// A group's name, as the configuration and headers have it.
#[must_use]
pub fn is_group(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
}

/// Reads a page. `row` gives `None` for one that is malformed, and `Some(None)` for one that says
/// nothing.
pub(super) fn page<T>(
    reply: Reply,
    api: &Endpoint,
    row: impl Fn(&Json) -> Option<Option<T>>,
) -> Result<Page<T>, InvalidAnswer> {
    let mut rows = Vec::new();
    let next = for_each_row(reply, api, &mut |json| {
        if let Some(row) = row(json)? {
            rows.push(row);
        }
        Some(())
    })?;
    Ok(Page { rows, next })
}

/// Hands each row of a page over, until one is malformed. Gives [`Page::next`].
fn for_each_row(
    reply: Reply,
    api: &Endpoint,
    take: &mut dyn FnMut(&Json) -> Option<()>,
) -> Result<Option<String>, InvalidAnswer> {
    let document = document(reply)?;
    let values = document.member("values").and_then(Json::as_array);
    for row in values.ok_or(InvalidAnswer::Malformed("values"))? {
        take(row).ok_or(InvalidAnswer::Malformed("values"))?;
    }
    match document.member("next") {
        None | Some(Json::Null) => Ok(None),
        Some(next) => {
            let next = next.as_str().and_then(|next| on_host(next, api));
            next.map(Some).ok_or(InvalidAnswer::Malformed("next"))
        }
    }
}

/// Path and query of an address on the API host. Any other would be sent the token.
fn on_host(next: &str, api: &Endpoint) -> Option<String> {
    let path = next.strip_prefix(api.origin().as_str())?;
    let target = RequestTarget::parse(path.as_bytes()).ok()?;
    target.path().starts_with("/2.0/").then(|| path.to_owned())
}

pub(super) fn text<'j>(row: &'j Json, name: &str) -> Option<&'j str> {
    row.member(name).and_then(Json::as_str)
}

pub(super) fn uuid(row: &Json) -> Option<String> {
    match Name::workspace(text(row, "uuid")?) {
        Ok(Name::Uuid(uuid)) => Some(uuid),
        Ok(Name::Slug(_)) | Err(_) => None,
    }
}

fn account_of(row: &Json) -> Option<String> {
    let id = row.member("user").and_then(|user| text(user, "account_id"));
    id.filter(|id| is_account_id(id)).map(str::to_owned)
}
