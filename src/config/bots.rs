//! The section `bots`: credentials of programs at Bitbucket, and what names them.

use crate::bitbucket::Scopes;
use crate::config::Access;
use crate::config::reader::{Node, Reader, quoted};
use crate::oauth::{AccessToken, ClientCredentials};
use crate::policy::{Allow, GitUse, Inject, Rule, TokenForm};

/// A program at Bitbucket.
#[derive(Debug)]
pub struct Bot {
    /// What the configuration calls it: 1 to 32 lower-case letters, digits or `-`.
    pub name: String,
    /// How it proves who it is.
    pub credential: BotCredential,
    /// How many calls to the API an hour it may make.
    pub api_budget: u32,
}

/// How a bot proves who it is.
#[derive(Debug)]
pub enum BotCredential {
    /// A token that somebody made at Bitbucket, and that lives until they take it back.
    AccessToken(AccessToken),
    /// A private consumer, which gets short-lived tokens (RFC 6749 section 4.4).
    Client {
        /// Its id and secret.
        client: ClientCredentials,
        /// What its tokens must allow; `None` if that does not matter.
        scopes: Option<Scopes>,
    },
}

/// The names of the bots in their order, as the document has them: another mistake in one of them
/// makes no name unknown.
pub(super) type BotNames<'j> = [&'j str];

impl Reader<'_> {
    /// The names, each once.
    pub(super) fn bot_names<'j>(&self, root: &Node<'j>) -> Vec<&'j str> {
        // What is wrong with them is found again by who reads them, and said once.
        let names = root.member("bots").map(|node| self.distinct_names(&node));
        names.flatten().unwrap_or_default()
    }

    pub(super) fn bots(&self, node: &Node<'_>, is_loopback: bool) -> Option<Vec<Bot>> {
        let mut bots = Vec::new();
        let mut complete = true;
        for name in self.distinct_names(node)? {
            let member = node.member(name)?;
            let is_mark = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if !(1..=32).contains(&name.len()) || !name.bytes().all(is_mark) {
                let expected = "expected 1 to 32 lower-case letters, digits or \"-\"";
                self.wrong_at(&member, expected, &quoted(name));
            }
            let bot = self.bot(name, &member, is_loopback);
            complete &= bot.is_some();
            bots.extend(bot);
        }
        complete.then_some(bots)
    }

    fn bot(&self, name: &str, node: &Node<'_>, is_loopback: bool) -> Option<Bot> {
        let known = ["access_token", "client_credentials", "scopes", "api_budget"];
        let section = self.object(node, &known)?;
        let api_budget = self.api_budget(&section);
        let scopes = match section.member("scopes") {
            Some(node) => self.any_scopes(&node).map(Some),
            None => Some(None),
        };
        let token = section.member("access_token");
        let credential = match (token, section.member("client_credentials")) {
            (Some(token), None) => {
                if section.member("scopes").is_some() {
                    let expected = "expected none, since nobody says what an access token may";
                    self.wrong(&section.path_of("scopes"), expected, "some");
                }
                let token = self.secret(&token, is_loopback);
                token.map(|token| BotCredential::AccessToken(AccessToken::new(token.as_str())))
            }
            (None, Some(client)) => self
                .object(&client, &["client_id", "client_secret"])
                .and_then(|client| self.client(&client, is_loopback))
                .zip(scopes.clone())
                .map(|(client, scopes)| BotCredential::Client { client, scopes }),
            (token, _) => {
                let found = if token.is_some() { "both" } else { "neither" };
                let expected = "expected access_token or client_credentials";
                self.wrong_at(&section, expected, found);
                None
            }
        };
        scopes?;
        Some(Bot {
            name: name.to_owned(),
            credential: credential?,
            api_budget: api_budget?,
        })
    }

    /// A bot by its name: its place in the section.
    pub(super) fn named_bot(&self, node: &Node<'_>, bots: &BotNames<'_>) -> Option<usize> {
        let name = self.string(node)?;
        let place = bots.iter().position(|known| *known == name);
        if place.is_none() {
            self.wrong_at(node, "expected one of the bots", &quoted(name));
        }
        place
    }

    /// `inject` of a rule, where it is no word: `{bot: name}`, with `as: git` and `own_first: true`.
    pub(super) fn inject_bot(&self, node: &Node<'_>, bots: &BotNames<'_>) -> Option<Inject> {
        let section = self.object(node, &["bot", "as", "own_first"])?;
        let bot = self
            .required(&section, "bot")
            .and_then(|node| self.named_bot(&node, bots));
        let form = match section.member("as") {
            // As what they are as words, so that the module has no second reader of them.
            Some(node) => {
                let words = [("bearer", Inject::Bearer), ("git", Inject::Git)];
                self.word(&node, &words)?
            }
            None => Inject::Bearer,
        };
        let form = match form == Inject::Git {
            true => TokenForm::Git,
            false => TokenForm::Bearer,
        };
        let own_first = match section.member("own_first") {
            Some(node) => self.flag(&node)?,
            None => false,
        };
        let inject = match own_first {
            true => Inject::OwnOrBot,
            false => Inject::Bot,
        };
        Some(inject(bot?, form))
    }

    /// What is allowed and worth a word: a bot that nothing uses, and one for everybody.
    pub(super) fn uses_of_bots(&self, root: &Node<'_>, access: &Access, rules: &[Rule]) {
        for (index, rule) in rules.iter().enumerate() {
            if matches!(rule.inject, Inject::Bot(..)) && matches!(rule.allow, Allow::SignedIn) {
                let path = format!("rules[{index}].inject");
                let message = "whoever has an account at Bitbucket acts with what the bot may: \
                               name a workspace, a group or accounts in allow";
                self.warn(&path, message);
            }
            // A bot of another rule that pushes can be made to by a body that this rule does not see.
            let reads = rule.git.contains(&GitUse::Lfs) && !rule.git.contains(&GitUse::Write);
            let pushes = |other: &Rule| {
                other.inject.bot() == rule.inject.bot() && other.git.contains(&GitUse::Write)
            };
            if reads && rule.inject.bot().is_some() && rules.iter().any(pushes) {
                let path = format!("rules[{index}].match.git");
                let message = "LFS says in its body whether it writes, and the bot may: name one that \
                               reads only, or \"write\" too";
                self.warn(&path, message);
            }
        }
        let source = access.groups.source.as_ref().map(|source| source.bot);
        for (place, bot) in access.bots.iter().enumerate() {
            let place = Some(place);
            let is_passed_on = rules.iter().any(|rule| rule.inject.bot() == place);
            if !is_passed_on && access.bot != place && source != place {
                let path = format!("{}.{}", root.path_of("bots"), bot.name);
                self.warn(&path, "nothing uses it: no rule, no lookup");
            }
        }
    }
}
