//! The section `groups`.

use crate::bitbucket::is_group;
use crate::config::bots::BotNames;
use crate::config::reader::{Node, Reader, quoted};
use crate::policy::Name;
use crate::sorted::sorted;

/// Groups of people, and where they come from.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// The groups that the configuration has, each with its account ids in order.
    pub members: Vec<(String, Vec<String>)>,
    /// The workspace whose groups are read, too. A name that the configuration has is never read.
    pub source: Option<GroupSource>,
}

impl Groups {
    /// The account ids, in order, of a group that the configuration has.
    #[must_use]
    pub fn members(&self, name: &str) -> Option<&[String]> {
        let found = self.members.iter().find(|(known, _)| known == name);
        found.map(|(_, ids)| ids.as_slice())
    }
}

/// A workspace whose groups are read on a timer.
#[derive(Clone, Debug)]
pub struct GroupSource {
    /// The workspace.
    pub workspace: Name,
    /// Who reads them, as an administrator of the workspace: its place in `bots`.
    pub bot: usize,
}

impl Reader<'_> {
    /// `groups`: a map from names to account ids, or a source.
    pub(super) fn groups(&self, node: &Node<'_>, bots: &BotNames<'_>) -> Option<Groups> {
        // A group that is called "source" has a list.
        let is_source = node
            .member("source")
            .is_some_and(|it| it.json.as_str().is_some());
        if !is_source {
            return Some(Groups {
                members: self.members(node)?,
                source: None,
            });
        }
        let section = self.object(node, &["source", "workspace", "bot", "members"])?;
        let source = section.member("source");
        let known = source.and_then(|node| self.word(&node, &[("bitbucket", ())]));
        let workspace = self
            .required(&section, "workspace")
            .and_then(|node| self.workspace_name(&node));
        let bot = self
            .required(&section, "bot")
            .and_then(|node| self.named_bot(&node, bots));
        let members = match section.member("members") {
            Some(node) => self.members(&node),
            None => Some(Vec::new()),
        };
        known?;
        Some(Groups {
            members: members?,
            source: Some(GroupSource {
                workspace: workspace?,
                bot: bot?,
            }),
        })
    }

    fn members(&self, node: &Node<'_>) -> Option<Vec<(String, Vec<String>)>> {
        let mut groups = Vec::new();
        for name in self.distinct_names(node)? {
            let member = node.member(name)?;
            if !is_group(name) {
                let expected = "expected 1 to 64 letters, digits, \"-\", \"_\" or \".\"";
                self.wrong_at(&member, expected, &quoted(name));
            }
            let ids = self.account_ids(&member);
            let ids = ids.unwrap_or_default();
            let ids = sorted(ids.iter().map(String::as_str).collect());
            let ids = ids.into_iter().map(str::to_owned).collect();
            groups.push((name.to_owned(), ids));
        }
        Some(groups)
    }

    /// A workspace by slug or UUID.
    pub(super) fn workspace_name(&self, node: &Node<'_>) -> Option<Name> {
        let text = self.string(node)?;
        let name = Name::workspace(text);
        if let Err(error) = &name {
            self.wrong_at(node, &error.to_string(), &quoted(text));
        }
        name.ok()
    }
}
