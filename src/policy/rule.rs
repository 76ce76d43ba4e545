//! Rules in their order.

use crate::http::{RequestTarget, TargetError};
use crate::policy::index::Index;
use crate::policy::{Asked, Condition, GitUse, PathTemplate};

/// Who a rule lets through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allow {
    /// Nobody: the path is closed.
    Nobody,
    /// Everybody, without a look at who they are.
    Public,
    /// Everybody with a session.
    SignedIn,
    /// Everybody with a session for whom this holds.
    When(Condition),
}

/// What the upstream gets to know about who acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Inject {
    /// `Authorization: Bearer` with the person's token, and the identity headers.
    Bearer,
    /// `Authorization: Basic` with the person's token as git sends it, and the identity headers.
    Git,
    /// The identity headers.
    #[default]
    Identity,
    /// Nothing.
    None,
    /// `Authorization` with the token of a bot, which is named by its place in the configuration, and
    /// the identity headers.
    Bot(usize, TokenForm),
    /// `Authorization` with the token of whoever acts, or with that of this bot for those who have none
    /// of Bitbucket's: pipelines, and callers with a token of another issuer. And the identity headers.
    OwnOrBot(usize, TokenForm),
}

/// How a token is written into `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenForm {
    /// `Bearer`.
    Bearer,
    /// `Basic`, as git sends it.
    Git,
}

impl Inject {
    /// The bot whose token it is.
    #[must_use]
    pub fn bot(self) -> Option<usize> {
        match self {
            Self::Bot(place, _) | Self::OwnOrBot(place, _) => Some(place),
            Self::Bearer | Self::Git | Self::Identity | Self::None => None,
        }
    }

    /// Whether a credential goes upstream, anybody's.
    #[must_use]
    pub fn is_credential(self) -> bool {
        match self {
            Self::Bearer | Self::Git | Self::Bot(..) | Self::OwnOrBot(..) => true,
            Self::Identity | Self::None => false,
        }
    }
}

/// A signed statement of who acts, for an upstream that verifies it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdentityToken {
    /// Whom it is for: 1 to 256 visible ASCII characters (`StringOrURI` of RFC 7519).
    pub audience: String,
}

/// Whether a rule decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shadow {
    /// It does.
    #[default]
    Decides,
    /// It is evaluated and logged, and the next rule decides: a rule on trial.
    Logs,
}

/// What the tail of a `/**` may hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tail {
    /// `%2F` and `;` too: npm, GitLab and Artifactory have such paths.
    Raw,
    /// What every server reads in the same way.
    #[default]
    Strict,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// For people: log lines name it.
    pub name: Option<String>,
    /// It matches if one of these does.
    pub paths: Vec<PathTemplate>,
    /// The methods it matches, compared exactly (RFC 9110 section 9.1); `None` for all.
    pub methods: Option<Vec<String>>,
    /// What of git it matches, and nothing else then; empty for a rule that is not about git.
    pub git: Vec<GitUse>,
    /// What a tail may hold.
    pub tail: Tail,
    /// Other origins whose pages may send unsafe requests with the person's cookies.
    pub origins: Vec<String>,
    /// Who may.
    pub allow: Allow,
    /// What is passed on.
    pub inject: Inject,
    /// Whether it decides.
    pub shadow: Shadow,
    /// What is passed on signed.
    pub identity_token: Option<IdentityToken>,
    /// Whose token that is, if not that of the main sign-in: the name of a further consumer.
    pub consumer: Option<String>,
}

impl Rule {
    /// What log lines and pages call it: its name, or its place in the list.
    #[must_use]
    pub fn label(&self, index: usize) -> String {
        self.name
            .clone()
            .unwrap_or_else(|| format!("rules[{index}]"))
    }

    fn matches(&self, method: &str, path: &str) -> bool {
        self.matches_method(method) && self.template_for(path).is_some()
    }

    fn template_for(&self, path: &str) -> Option<&PathTemplate> {
        self.paths.iter().find(|template| template.matches(path))
    }

    /// A request that the rule matches, for its condition.
    #[must_use]
    pub fn asked<'r>(&'r self, method: &'r str, path: &'r str) -> Option<Asked<'r>> {
        let template = self.template_for(path)?;
        Some(Asked {
            method,
            path,
            template,
        })
    }

    fn matches_method(&self, method: &str) -> bool {
        match &self.methods {
            None => true,
            Some(methods) => methods.iter().any(|listed| listed == method),
        }
    }

    /// With the query, where that says what git asks for.
    fn matches_git(&self, method: &str, target: &RequestTarget) -> bool {
        self.git.is_empty()
            || GitUse::of(method, target).is_some_and(|asked| self.git.contains(&asked))
    }

    fn takes_raw_tail(&self, method: &str, path: &str) -> bool {
        let is_up_to_tail = |template: &PathTemplate| template.matches_up_to_tail(path);
        self.tail == Tail::Raw
            && self.matches_method(method)
            && self.paths.iter().any(is_up_to_tail)
    }
}

/// All rules of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
    index: Index,
}

/// What the rules say about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'p> {
    /// The path can be read in two ways, and another rule may be meant in one of them.
    Ambiguous(TargetError),
    /// No rule matches.
    Nothing,
    /// The first rule that matches, and its index.
    Rule(usize, &'p Rule),
}

impl Policy {
    /// Takes the rules in their order.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        let index = Index::new(&rules);
        Self { rules, index }
    }

    /// The rules in their order.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The first rule for `method` on `target`.
    #[must_use]
    pub fn find(&self, method: &str, target: &RequestTarget) -> Found<'_> {
        self.find_from(0, method, target)
    }

    /// The first rule for `method` on `target`, of those at `start` and behind it: what decides where
    /// the rule before it is a shadow.
    #[must_use]
    pub fn find_from(&self, start: usize, method: &str, target: &RequestTarget) -> Found<'_> {
        let Some(ambiguity) = target.ambiguity() else {
            let fits = |place: usize| {
                let rule = self.rules.get(place);
                rule.is_some_and(|rule| {
                    rule.matches_method(method) && rule.matches_git(method, target)
                })
            };
            let found = self.index.first(start, target.path(), &fits);
            let rule = found.and_then(|place| Some((place, self.rules.get(place)?)));
            return rule.map_or(Found::Nothing, |(place, rule)| Found::Rule(place, rule));
        };
        let readings = target.readings();
        for (index, rule) in self.rules.iter().enumerate().skip(start) {
            if rule.takes_raw_tail(method, target.path()) {
                return Found::Rule(index, rule);
            }
            // An earlier rule that is meant in one reading, such as one that closes a folder, is
            // not skipped because of another reading. One on trial closes nothing.
            let may_close = rule.shadow == Shadow::Decides;
            if may_close && readings.iter().any(|path| rule.matches(method, path)) {
                break;
            }
        }
        Found::Ambiguous(ambiguity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(path: &str, methods: Option<&[&str]>) -> Rule {
        Rule {
            name: None,
            paths: vec![PathTemplate::parse(path).unwrap()],
            methods: methods.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            git: Vec::new(),
            tail: Tail::Strict,
            origins: Vec::new(),
            allow: Allow::SignedIn,
            inject: Inject::None,
            shadow: Shadow::Decides,
            identity_token: None,
            consumer: None,
        }
    }

    fn target(path: &str) -> RequestTarget {
        RequestTarget::parse(path.as_bytes()).unwrap()
    }

    #[test]
    fn a_raw_tail_is_no_way_around_an_earlier_rule() {
        use TargetError::{EncodedSlash, Parameter};
        let raw = |path: &str| Rule {
            tail: Tail::Raw,
            ..rule(path, None)
        };
        let policy = Policy::new(vec![
            rule("/npm/private/**", None),
            rule("/npm/-/{user}/token", Some(&["DELETE"])),
            raw("/npm/**"),
            raw("/{team}/files/**"),
            rule("/**", None),
        ]);
        for (method, path, expected) in [
            ("GET", "/npm/@a%2fb", Ok(2)),
            ("GET", "/npm/x;version=1/y", Ok(2)),
            ("GET", "/npm/plain", Ok(2)),
            ("GET", "/red/files/a%2Fb", Ok(3)),
            ("GET", "/other", Ok(4)),
            ("GET", "/npm/private%2fx", Err(EncodedSlash)),
            ("GET", "/npm/private;x", Err(Parameter)),
            ("GET", "/npm/private%3bx", Err(Parameter)),
            ("GET", "/npm/private;/x", Err(Parameter)),
            ("GET", "/npm/private;a/b/c", Err(Parameter)),
            ("GET", "/npm/private;x%2fy/z", Err(Parameter)),
            ("DELETE", "/npm/-/me%2ftoken", Err(EncodedSlash)),
            ("GET", "/npm/-/me%2ftoken", Ok(2)),
            ("GET", "/npm%2fx", Err(EncodedSlash)),
            ("GET", "/npm;a/x", Err(Parameter)),
            ("GET", "/red%2fblue/files/x", Err(EncodedSlash)),
            ("GET", "/other%2fx", Err(EncodedSlash)),
        ] {
            let found = match policy.find(method, &target(path)) {
                Found::Ambiguous(error) => Err(error),
                Found::Rule(index, _) => Ok(index),
                Found::Nothing => panic!("{path}"),
            };
            assert_eq!(found, expected, "{method} {path}");
        }
    }

    #[test]
    fn what_git_asks_for_is_matched_by_its_rule_alone() {
        let git = |uses: &[GitUse]| {
            let paths = uses.iter().flat_map(|one| one.paths("/{w}/{r}"));
            Rule {
                paths: paths
                    .map(|path| PathTemplate::parse(&path).unwrap())
                    .collect(),
                git: uses.to_vec(),
                ..rule("/", None)
            }
        };
        let policy = Policy::new(vec![
            git(&[GitUse::Write]),
            git(&[GitUse::Read, GitUse::Lfs]),
            rule("/**", None),
        ]);
        for (method, path, expected) in [
            ("GET", "/a/b.git/info/refs?service=git-receive-pack", 0),
            ("POST", "/a/b/git-receive-pack", 0),
            ("GET", "/a/b/info/refs?service=git-upload-pack", 1),
            ("POST", "/a/b.git/git-upload-pack", 1),
            ("POST", "/a/b.git/info/lfs/objects/batch", 1),
            ("POST", "/a/b.git/info/lfs/locks/7/unlock", 1),
            ("GET", "/a/b.git/info/refs", 2),
            (
                "GET",
                "/a/b.git/info/refs?service=git-upload-pack&service=git-receive-pack",
                2,
            ),
            ("POST", "/a/b.git/x/git-upload-pack", 2),
            ("POST", "/a/git-upload-pack", 2),
        ] {
            let Found::Rule(index, found) = policy.find(method, &target(path)) else {
                panic!("{path}");
            };
            assert_eq!(index, expected, "{method} {path}");
            if index < 2 {
                let asked = found
                    .asked(method, target(path).path())
                    .map(|asked| asked.template.clone());
                let name = asked.and_then(|template| {
                    template
                        .capture("r", target(path).path())
                        .map(str::to_owned)
                });
                assert_eq!(name.as_deref(), Some("b"), "{path}");
            }
        }
        // A path that can be read in two ways is none of them.
        let found = policy.find("POST", &target("/a%2fb/git-upload-pack"));
        assert!(matches!(found, Found::Ambiguous(_)));
    }

    #[test]
    fn the_first_match_wins_and_no_match_is_none() {
        let policy = Policy::new(vec![
            rule("/api/**", Some(&["GET", "HEAD"])),
            rule("/api/admin", None),
            rule("/api/{name}", Some(&["POST"])),
        ]);
        let index = |method, path| match policy.find(method, &target(path)) {
            Found::Rule(index, _) => Some(index),
            Found::Ambiguous(_) | Found::Nothing => None,
        };
        assert_eq!(index("GET", "/api/admin"), Some(0));
        assert_eq!(index("PUT", "/api/admin"), Some(1));
        assert_eq!(index("POST", "/api/x"), Some(2));
        assert_eq!(index("PUT", "/api/x"), None);
        // Methods are case-sensitive: "get" is another method.
        assert_eq!(index("get", "/api/x"), None);
        assert_eq!(index("GET", "/"), None);
    }
}
