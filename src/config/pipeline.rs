//! Conditions about machines: `pipeline`, and `issuer` with `subject`.

use crate::config::reader::{Node, Reader, quoted};
use crate::policy::{Condition, Name, PathTemplate, Pipeline, is_branch};

/// The longest branch name that is taken; git allows a path of the file system.
const MAX_BRANCH_BYTES: usize = 255;

impl Reader<'_> {
    /// `pipeline`: what the token of a step must say.
    pub(super) fn pipeline(
        &self,
        node: &Node<'_>,
        paths: Option<&[PathTemplate]>,
    ) -> Option<Pipeline> {
        let known = [
            "workspace",
            "repository",
            "branch",
            "deployment_environment",
        ];
        let section = self.object(node, &known)?;
        let workspace = section.member("workspace");
        let repository = section.member("repository");
        if workspace.is_none() && repository.is_none() {
            let expected = "expected a workspace or a repository";
            self.wrong_at(&section, expected, "none");
        }
        let workspace = match workspace {
            Some(node) => self.part(&node, paths, Name::workspace).map(Some),
            None => Some(None),
        };
        let repository = match repository {
            Some(node) => self.part(&node, paths, Name::repository).map(Some),
            None => Some(None),
        };
        let branches = match section.member("branch") {
            Some(node) => self.branches(&node),
            None => Some(Vec::new()),
        };
        let environments = match section.member("deployment_environment") {
            Some(node) => self.environments(&node),
            None => Some(Vec::new()),
        };
        Some(Pipeline {
            workspace: workspace?,
            repository: repository?,
            branches: branches?,
            deployment_environments: environments?,
        })
    }

    fn branches(&self, node: &Node<'_>) -> Option<Vec<String>> {
        // The name of a branch, but for a `*` at the end; a `*` alone would be any.
        let is_wanted = |text: &str| {
            text.len() <= MAX_BRANCH_BYTES && is_branch(text.strip_suffix('*').unwrap_or(text))
        };
        let expected = "expected a branch such as \"main\", or a beginning such as \"release/*\"";
        self.checked_texts(node, is_wanted, expected)
    }

    fn environments(&self, node: &Node<'_>) -> Option<Vec<String>> {
        fn uuid(text: &str) -> Option<String> {
            match Name::workspace(text) {
                Ok(Name::Uuid(uuid)) => Some(uuid),
                Ok(Name::Slug(_)) | Err(_) => None,
            }
        }
        let expected = "expected the environment's UUID with its braces";
        let texts = self.checked_texts(node, |text| uuid(text).is_some(), expected)?;
        texts.iter().map(|text| uuid(text)).collect()
    }

    /// `issuer`, with `subject` beside it.
    pub(super) fn issuer_condition(
        &self,
        section: &Node<'_>,
        value: &Node<'_>,
    ) -> Option<Condition> {
        let issuer = self.string(value)?;
        let is_subject = |text: &str| (1..=256).contains(&text.len());
        let subjects = match section.member("subject") {
            Some(node) => {
                let expected = "expected a subject of 1 to 256 bytes";
                self.checked_texts(&node, is_subject, expected)
            }
            None => Some(Vec::new()),
        };
        if issuer.is_empty() {
            self.wrong_at(value, "expected one of the issuers", &quoted(issuer));
        }
        Some(Condition::Issuer {
            issuer: issuer.to_owned(),
            subjects: subjects?,
        })
    }
}
