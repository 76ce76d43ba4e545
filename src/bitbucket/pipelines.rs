//! The tokens of steps of Bitbucket Pipelines: OpenID Connect, with an issuer for each workspace.

use crate::bitbucket::Endpoint;
use crate::http::Call;
use crate::identity::PipelineStep;
use crate::jose::{Claims, InvalidToken};
use crate::policy::Name;

/// The claim that says whose token it is, whatever its audience.
pub const WORKSPACE_CLAIM: &str = "workspaceUuid";

/// The longest name of a branch.
const MAX_BRANCH_BYTES: usize = 1_024;

/// The `iss` of a workspace's tokens. It has the slug, which can be renamed and taken by somebody
/// else, so [`WORKSPACE_CLAIM`] is compared as well.
#[must_use]
pub fn pipelines_issuer(api: &Endpoint, workspace: &str) -> String {
    format!("{}{}", api.origin(), path(workspace))
}

/// Asks for the keys of a workspace's tokens. Everybody may read them.
#[must_use]
pub fn pipelines_keys_call(api: &Endpoint, workspace: &str) -> Call {
    api.call("GET", &format!("{}/keys.json", path(workspace)))
}

/// The `aud` of tokens whose pipeline asks for no other, from the workspace's UUID with its braces.
#[must_use]
pub fn pipelines_audience(workspace_uuid: &str) -> String {
    let uuid = workspace_uuid.strip_prefix('{').unwrap_or(workspace_uuid);
    let uuid = uuid.strip_suffix('}').unwrap_or(uuid);
    format!("ari:cloud:bitbucket::workspace/{uuid}")
}

fn path(workspace: &str) -> String {
    format!("/2.0/workspaces/{workspace}/pipelines-config/identity/oidc")
}

/// Reads the claims of a step, whose issuer is that of the workspace with this slug. Its `sub` is another
/// one in each step, and names nobody.
///
/// # Errors
/// [`InvalidToken::Claim`] where one is missing that every step has, or where it is no UUID.
pub fn read_step(claims: &Claims, workspace_slug: &str) -> Result<PipelineStep, InvalidToken> {
    const NAMES: [&str; 5] = [
        WORKSPACE_CLAIM,
        "repositoryUuid",
        "pipelineUuid",
        "stepUuid",
        "deploymentEnvironmentUuid",
    ];
    let mut uuids = [const { None }; NAMES.len()];
    for (uuid, name) in uuids.iter_mut().zip(NAMES) {
        if let Some(text) = claims.text(name)? {
            let Ok(Name::Uuid(text)) = Name::workspace(text) else {
                return Err(InvalidToken::Claim);
            };
            *uuid = Some(text);
        }
    }
    let branch = claims.text("branchName")?;
    let is_branch = |text: &str| {
        (1..=MAX_BRANCH_BYTES).contains(&text.len()) && !text.bytes().any(|b| b.is_ascii_control())
    };
    if branch.is_some_and(|text| !is_branch(text)) {
        return Err(InvalidToken::Claim);
    }
    let [
        Some(workspace),
        Some(repository),
        pipeline,
        step,
        deployment_environment,
    ] = uuids
    else {
        return Err(InvalidToken::Claim);
    };
    Ok(PipelineStep {
        workspace_slug: workspace_slug.to_owned(),
        workspace,
        repository,
        pipeline,
        step,
        deployment_environment,
        branch: branch.map(str::to_owned),
    })
}
