//! A step of a pipeline, and what its token says.

use serde_json::{Value, json};

use super::document::issuer;
use crate::bitbucket::uuid::uuid_of;
use crate::bitbucket::{Refused, Settings};

/// Where a step deploys to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// Its name.
    pub name: String,
    /// Its UUID, with the braces.
    pub uuid: String,
}

/// A step with `oidc: true`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The workspace, by slug or UUID.
    pub workspace: String,
    /// The repository, by slug or UUID.
    pub repository: String,
    /// The branch that it builds.
    pub branch: Option<String>,
    /// Where it deploys to, if it does.
    pub deployment_environment: Option<Environment>,
    /// `audiences` of the step. Bitbucket's default where there is none; whether that stays beside
    /// others is not known: here it does not.
    pub audiences: Vec<String>,
    /// Seconds from `iat` to `exp`. An hour; that of the original is not known.
    pub lifetime: u64,
    /// Seconds that `iat` is after now.
    pub iat_offset: i64,
    /// Seconds that `nbf` is after now. The original has none.
    pub nbf_offset: Option<i64>,
    /// Seconds that `exp` is after now, in the place of `lifetime`.
    pub exp_offset: Option<i64>,
}

impl Step {
    /// A step that builds a branch.
    #[must_use]
    pub fn of(workspace: &str, repository: &str, branch: &str) -> Self {
        Self {
            workspace: workspace.to_owned(),
            repository: repository.to_owned(),
            branch: Some(branch.to_owned()),
            deployment_environment: None,
            audiences: Vec::new(),
            lifetime: 3_600,
            iat_offset: 0,
            nbf_offset: None,
            exp_offset: None,
        }
    }

    /// The claims of the `number`th token. UUIDs have their braces, but in the audience.
    pub(super) fn claims(
        &self,
        now: u64,
        number: u64,
        settings: &Settings,
    ) -> Result<Value, Refused> {
        let directory = &settings.directory;
        let workspace = directory.workspace(&self.workspace);
        let workspace = workspace.ok_or(Refused::Missing)?;
        let repository = directory.repository(&self.workspace, &self.repository);
        let repository = &repository.ok_or(Refused::Missing)?.uuid;
        let id = |what: &str| uuid_of(&format!("{what} {number} {}", settings.seed));
        let step = id("step");
        let environment = self.deployment_environment.as_ref();
        let subject = match environment {
            Some(environment) => format!("{repository}:{}:{step}", environment.uuid),
            None => format!("{repository}:{step}"),
        };
        let after = |offset: i64| now.saturating_add_signed(offset);
        let iat = after(self.iat_offset);
        let mut claims = json!({
            "iss": issuer(&settings.api_origin(), &workspace.slug),
            "aud": self.audience(&workspace.uuid),
            "sub": subject,
            "iat": iat,
            "exp": self.exp_offset.map_or(iat + self.lifetime, after),
            "workspaceUuid": workspace.uuid,
            "repositoryUuid": repository,
            "pipelineUuid": id("pipeline"),
            "stepUuid": step,
            "accountUuid": workspace.uuid,
        });
        if let Some(offset) = self.nbf_offset {
            claims["nbf"] = after(offset).into();
        }
        if let Some(branch) = &self.branch {
            claims["branchName"] = branch.as_str().into();
        }
        if let Some(environment) = environment {
            claims["deploymentEnvironment"] = environment.name.as_str().into();
            claims["deploymentEnvironmentUuid"] = environment.uuid.as_str().into();
        }
        Ok(claims)
    }

    fn audience(&self, workspace_uuid: &str) -> Value {
        match self.audiences.as_slice() {
            [] => {
                let bare = workspace_uuid.trim_matches(['{', '}']);
                format!("ari:cloud:bitbucket::workspace/{bare}").into()
            }
            [one] => one.as_str().into(),
            several => several.into(),
        }
    }
}
