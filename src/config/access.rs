//! What rules need to know about people: `rights`, `workspaces`, `repositories`, `groups`.

use crate::config::bots::BotNames;
use crate::config::reader::{Node, Reader, quoted, shown};
use crate::config::{Bot, Groups};
use crate::policy::{Allow, Condition, Name, Part, Rule};
use crate::rights::Terms;
use crate::time::Seconds;

const MAX_AGE: Seconds = Seconds(300);
const GRACE: Seconds = Seconds::from_hours(1);

/// Less would ask Bitbucket at every click.
const SHORTEST: Seconds = Seconds(10);

const LONGEST: Seconds = Seconds::from_hours(24);

/// What rules need to know, and where from.
#[derive(Debug)]
pub struct Access {
    /// How old answers may be.
    pub terms: Terms,
    /// Who asks about memberships and repositories, if it is not the person: its place in `bots`.
    pub bot: Option<usize>,
    /// All bots.
    pub bots: Vec<Bot>,
    /// UUIDs of workspaces by their slugs.
    pub workspaces: Vec<(String, String)>,
    /// UUIDs of repositories by `workspace/repository`.
    pub repositories: Vec<(String, String)>,
    /// Groups of people.
    pub groups: Groups,
}

impl Reader<'_> {
    pub(super) fn access(
        &self,
        root: &Node<'_>,
        known: &BotNames<'_>,
        is_loopback: bool,
    ) -> Option<Access> {
        let bots = match root.member("bots") {
            Some(node) => self.bots(&node, is_loopback),
            None => Some(Vec::new()),
        };
        let (terms, bot) = match root.member("rights") {
            Some(node) => self.rights(&node, known),
            None => (terms(MAX_AGE, GRACE), Some(None)),
        };
        let pins = |name, is_key: fn(&str) -> bool, form| match root.member(name) {
            Some(node) => self.pins(&node, is_key, form),
            None => Some(Vec::new()),
        };
        let workspaces = pins("workspaces", is_workspace_slug, "a workspace's slug");
        let form = "\"workspace/repository\" by slugs";
        let repositories = pins("repositories", is_repository_slug, form);
        let groups = match root.member("groups") {
            Some(node) => self.groups(&node, known),
            None => Some(Groups::default()),
        };
        Some(Access {
            terms: terms?,
            bot: bot?,
            bots: bots?,
            workspaces: workspaces?,
            repositories: repositories?,
            groups: groups?,
        })
    }

    fn rights(
        &self,
        node: &Node<'_>,
        bots: &BotNames<'_>,
    ) -> (Option<Terms>, Option<Option<usize>>) {
        let Some(section) = self.object(node, &["max_age", "grace", "bot"]) else {
            return (None, None);
        };
        let span = |name, default| match section.member(name) {
            Some(node) => self.duration(&node, SHORTEST, LONGEST),
            None => Some(default),
        };
        let max_age = span("max_age", MAX_AGE);
        let grace = span("grace", GRACE.max(max_age.unwrap_or(MAX_AGE)));
        if let (Some(max_age), Some(grace)) = (max_age, grace)
            && grace < max_age
        {
            let expected = format!("expected no less than max_age ({max_age})");
            self.wrong(&section.path_of("grace"), &expected, &grace.to_string());
        }
        let bot = match section.member("bot") {
            Some(node) => self.named_bot(&node, bots).map(Some),
            None => Some(None),
        };
        let terms = max_age.zip(grace);
        (
            terms.and_then(|(max_age, grace)| self::terms(max_age, grace)),
            bot,
        )
    }

    fn pins(
        &self,
        node: &Node<'_>,
        is_key: fn(&str) -> bool,
        form: &str,
    ) -> Option<Vec<(String, String)>> {
        let mut pins: Vec<(String, String)> = Vec::new();
        for name in self.distinct_names(node)? {
            let member = node.member(name)?;
            if !is_key(name) {
                self.wrong_at(&member, &format!("expected {form}"), &quoted(name));
            }
            let text = self.string(&member)?;
            match Name::workspace(text) {
                Ok(Name::Uuid(uuid)) => {
                    if let Some((other, _)) = pins.iter().find(|(_, known)| *known == uuid) {
                        let found = format!("that of {}", shown(other));
                        self.wrong_at(&member, "expected a UUID of its own", &found);
                    }
                    pins.push((name.to_owned(), uuid));
                }
                Ok(Name::Slug(_)) | Err(_) => {
                    self.wrong_at(&member, "expected a UUID with its braces", &quoted(text));
                }
            }
        }
        Some(pins)
    }

    /// That each workspace and group that a rule names is one that the configuration knows.
    pub(super) fn known_names(&self, root: &Node<'_>, access: &Access, rules: &[Rule]) {
        let mut unpinned: Vec<&str> = Vec::new();
        for (index, rule) in rules.iter().enumerate() {
            let Allow::When(condition) = &rule.allow else {
                continue;
            };
            let path = format!("rules[{index}].allow");
            for part in condition.parts() {
                if let Some(slug) = literal_workspace(part)
                    && !access.workspaces.iter().any(|(known, _)| known == slug)
                {
                    if !access.workspaces.is_empty() {
                        let expected = "expected one of the workspaces";
                        self.wrong(&path, expected, &quoted(slug));
                    }
                    if !unpinned.contains(&slug) {
                        unpinned.push(slug);
                    }
                }
                let groups = &access.groups;
                if let Condition::Group(name) = part
                    && groups.source.is_none()
                    && groups.members(name).is_none()
                {
                    self.wrong(&path, "expected one of the groups", &quoted(name));
                }
            }
        }
        for slug in unpinned {
            let message = format!(
                "{slug} can be renamed and taken by somebody else: write its UUID here, and what \
                 this instance remembers of it survives a restart"
            );
            self.warn(&root.path_of("workspaces"), &message);
        }
    }
}

fn terms(max_age: Seconds, grace: Seconds) -> Option<Terms> {
    Some(Terms { max_age, grace })
}

pub(super) fn is_workspace_slug(text: &str) -> bool {
    matches!(Name::workspace(text), Ok(Name::Slug(_)))
}

fn is_repository_slug(text: &str) -> bool {
    text.split_once('/').is_some_and(|(workspace, repository)| {
        is_workspace_slug(workspace) && matches!(Name::repository(repository), Ok(Name::Slug(_)))
    })
}

/// The slug of a workspace that a condition names by itself.
fn literal_workspace(condition: &Condition) -> Option<&str> {
    let part = match condition {
        Condition::Workspace { workspace, .. }
        | Condition::Repository { workspace, .. }
        | Condition::Project { workspace, .. } => workspace,
        // The issuer's slug has its UUID beside it.
        Condition::Pipeline(_) | Condition::Issuer { .. } => return None,
        Condition::Account(_)
        | Condition::AllOf(_)
        | Condition::AnyOf(_)
        | Condition::EmailDomain(_)
        | Condition::Group(_)
        | Condition::Nobody
        | Condition::Not(_)
        | Condition::Principal(_)
        | Condition::Scope(_)
        | Condition::SignedIn => return None,
    };
    match part {
        Part::Literal(Name::Slug(slug)) => Some(slug),
        Part::Literal(Name::Uuid(_)) | Part::Capture(_) => None,
    }
}
