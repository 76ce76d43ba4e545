//! What rules about machines need elsewhere in the configuration.

use std::rc::Rc;

use crate::config::Access;
use crate::config::reader::{Reader, quoted};
use crate::identity::Principal;
use crate::issuers::{Issuer, Kind};
use crate::policy::{Allow, Condition, GitUse, Inject, Name, Part, Pipeline, Rule};

/// Methods that change nothing.
const READS: [&str; 3] = ["GET", "HEAD", "OPTIONS"];

impl Reader<'_> {
    /// That each issuer and workspace is known that a rule names, and that nobody is promised a token
    /// that there is not.
    pub(super) fn known_machines(&self, issuers: &[Rc<Issuer>], access: &Access, rules: &[Rule]) {
        for (index, rule) in rules.iter().enumerate() {
            let Allow::When(condition) = &rule.allow else {
                continue;
            };
            let path = format!("rules[{index}].allow");
            for part in condition.parts() {
                if let Condition::Issuer { issuer, subjects } = part {
                    self.known_issuer(&path, issuer, subjects, issuers);
                }
                if let Condition::Pipeline(pipeline) = part {
                    self.known_pipeline(&path, pipeline, issuers, access);
                    self.guarded(index, rule, pipeline);
                }
            }
            if matches!(rule.inject, Inject::Bearer | Inject::Git) && has_no_token(condition) {
                let path = format!("rules[{index}].inject");
                let expected = "expected a bot, since Bitbucket takes no token of a pipeline or of \
                                another issuer";
                self.wrong(&path, expected, "the caller's own credential");
            }
        }
    }

    /// The `sub` of a step is another one in each run, so it can name nobody.
    fn known_issuer(&self, path: &str, issuer: &str, subjects: &[String], issuers: &[Rc<Issuer>]) {
        match issuers.iter().find(|known| known.issuer == issuer) {
            None => self.wrong(path, "expected one of the issuers", &quoted(issuer)),
            Some(known) if known.kind != Kind::Other && !subjects.is_empty() => {
                let expected =
                    "expected a condition pipeline, since the subject of a step is no identity";
                self.wrong(path, expected, "a subject");
            }
            Some(_) => {}
        }
    }

    fn known_pipeline(
        &self,
        path: &str,
        pipeline: &Pipeline,
        issuers: &[Rc<Issuer>],
        access: &Access,
    ) {
        let mut workspaces = issuers.iter().filter_map(|issuer| match &issuer.kind {
            Kind::Other => None,
            Kind::Pipelines {
                workspace,
                workspace_uuid,
            } => Some((workspace, workspace_uuid)),
        });
        let is_known = match &pipeline.workspace {
            Some(Part::Literal(Name::Slug(slug))) => workspaces.any(|(known, _)| known == slug),
            Some(Part::Literal(Name::Uuid(uuid))) => workspaces.any(|(_, known)| known == uuid),
            Some(Part::Capture(_)) | None => workspaces.next().is_some(),
        };
        if !is_known {
            let expected = "expected a workspace of bitbucket_pipelines in the section issuers";
            self.wrong(path, expected, "another, or none");
        }
        let is_named = match &pipeline.repository {
            None | Some(Part::Literal(Name::Uuid(_))) => true,
            Some(Part::Capture(_)) => false,
            Some(Part::Literal(Name::Slug(slug))) => access
                .repositories
                .iter()
                .any(|(known, _)| known.split_once('/').is_some_and(|(_, it)| it == slug)),
        };
        let by_uuid = matches!(
            pipeline.repository,
            None | Some(Part::Literal(Name::Uuid(_)))
        );
        if !by_uuid && pipeline.workspace.is_none() && workspaces.next().is_some() {
            let expected =
                "expected the workspace too, since each of them can have a repository of this name";
            self.wrong(path, expected, "a name");
        }
        // A token has the UUID only.
        if !is_named && access.bot.is_none() {
            let expected = "expected the repository's UUID, or rights.bot to ask what it is called";
            self.wrong(path, expected, "a name");
        }
    }

    /// A branch is chosen by whoever may push.
    fn guarded(&self, index: usize, rule: &Rule, pipeline: &Pipeline) {
        let writes = |methods: &Vec<String>| methods.iter().any(|it| !READS.contains(&it.as_str()));
        let may_write = match rule.git.as_slice() {
            [] => rule.methods.as_ref().is_none_or(writes),
            uses => uses.contains(&GitUse::Write),
        };
        if rule.inject.bot().is_some()
            && may_write
            && !pipeline.branches.is_empty()
            && pipeline.deployment_environments.is_empty()
        {
            let message = "only the branch guards a write with the bot's credential, and whoever may \
                           push chooses it: name a deployment_environment, or match what reads: methods, git";
            self.warn(&format!("rules[{index}].allow"), message);
        }
    }
}

/// Whether nobody whom it lets through has a token that Bitbucket takes.
fn has_no_token(condition: &Condition) -> bool {
    match condition {
        Condition::Issuer { .. }
        | Condition::Pipeline(_)
        | Condition::Principal(Principal::Pipeline) => true,
        Condition::AllOf(parts) => parts.iter().any(has_no_token),
        Condition::AnyOf(parts) => parts.iter().all(has_no_token),
        Condition::Account(_)
        | Condition::EmailDomain(_)
        | Condition::Group(_)
        | Condition::Nobody
        | Condition::Not(_)
        | Condition::Principal(Principal::Bot | Principal::Person)
        | Condition::Project { .. }
        | Condition::Repository { .. }
        | Condition::Scope(_)
        | Condition::SignedIn
        | Condition::Workspace { .. } => false,
    }
}
