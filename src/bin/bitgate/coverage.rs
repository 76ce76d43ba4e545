//! Rules that no request reaches.
//!
//! First match wins, so a rule is dead if all that it matches is matched before it. A rule matches a
//! set of methods and a set of templates; what it stands behind may be several rules. A template is
//! covered by several others only where they divide what a `/**` stands for: `/a/**` is `/a`, `/a/`
//! and `/a/{x}/**`. Elsewhere one of them must cover it alone, since any finite number of literals
//! leaves a `{capture}` something to match. A rule about git matches one way to ask for its paths, so it
//! covers another such rule and nothing else.

use std::collections::BTreeSet;

use bitgate::policy::GitUse;

use crate::finding::{Code, Findings};
use crate::node::Node;
use crate::plugin::Plugin;

/// Warns of every rule of an accepted configuration that earlier ones cover.
pub(crate) fn look(plugin: &Plugin, findings: &mut Findings) {
    let mut earlier: Vec<Shape> = Vec::new();
    let rules = Node::root(&plugin.configuration.json).list("rules");
    for (index, rule) in rules.iter().enumerate() {
        let shape = Shape::read(index, rule);
        if let Some(indexes) = shape.covered_by(&earlier) {
            let names: Vec<_> = indexes
                .iter()
                .map(|index| format!("rules[{index}]"))
                .collect();
            let (last, first) = names
                .split_last()
                .map_or((String::new(), &[][..]), |(last, first)| {
                    (last.clone(), first)
                });
            let names = match first {
                [] => format!("one behind {last}"),
                _ => format!("one behind {} and {last}", first.join(", ")),
            };
            let words = [
                "a rule that some request can reach",
                names.as_str(),
                "all that it matches is decided before",
            ];
            findings.add(
                Code::CoveredRule,
                &plugin.place,
                &rule.path_of("match"),
                words,
            );
        }
        // What a shadow rule matches goes on to the next one.
        if !rule.is_true("shadow") {
            earlier.push(shape);
        }
    }
}

/// What a rule matches.
#[derive(Clone, Debug)]
struct Shape {
    index: usize,
    templates: Vec<(Option<Ask>, Template)>,
    /// `None` for all.
    methods: Option<Vec<String>>,
}

/// How a rule about git is asked, with the method of that.
type Ask = (GitUse, &'static str);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Template {
    segments: Vec<Segment>,
    open_ended: bool,
}

/// A segment of a template. A literal is an affix without a capture between.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    /// A capture with what stands around it.
    Around(String, String),
    Literal(String),
}

impl Shape {
    /// Reads a rule that was accepted.
    fn read(index: usize, rule: &Node<'_>) -> Self {
        let matched = rule.get("match");
        let texts = |name: &str| -> Vec<String> {
            let node = matched.as_ref().and_then(|matched| matched.get(name));
            let node = node.as_ref();
            let single = node.and_then(Node::as_str).map(str::to_owned);
            let items = node.map(Node::items).unwrap_or_default();
            let items = items.iter().filter_map(Node::as_str).map(str::to_owned);
            single.into_iter().chain(items).collect()
        };
        let paths = [texts("path"), texts("paths")].concat();
        let methods = texts("methods");
        let words = texts("git");
        let uses = GitUse::WORDS.iter();
        let uses = uses.filter(|(word, _)| words.iter().any(|written| written == word));
        let of_git = |path: &String| -> Vec<_> {
            let asks = uses.clone().flat_map(|(_, one)| {
                let paths: Vec<_> = one.paths(path).collect();
                paths.into_iter().flat_map(move |path| {
                    let template = Template::read(&path);
                    let methods = methods_of_git(&path).iter();
                    methods.map(move |method| (Some((*one, *method)), template.clone()))
                })
            });
            asks.collect()
        };
        let templates = match words.is_empty() {
            true => paths
                .iter()
                .map(|path| (None, Template::read(path)))
                .collect(),
            false => paths.iter().flat_map(of_git).collect(),
        };
        Self {
            index,
            templates,
            methods: (!methods.is_empty()).then_some(methods),
        }
    }

    /// The rules that match all of it before it does, if they do.
    fn covered_by(&self, earlier: &[Self]) -> Option<BTreeSet<usize>> {
        let mut indexes = BTreeSet::new();
        // A method that no rule names stands for all of those.
        let methods: Vec<Option<&str>> = match &self.methods {
            None => vec![None],
            Some(methods) => methods.iter().map(|method| Some(method.as_str())).collect(),
        };
        for method in methods {
            for (ask, template) in &self.templates {
                let method = ask.map_or(method, |(_, method)| Some(method));
                let candidates: Vec<_> = earlier
                    .iter()
                    .filter(|rule| rule.matches_method(method))
                    .flat_map(|rule| {
                        rule.templates
                            .iter()
                            .map(|(own, other)| (rule.index, own, other))
                    })
                    .filter(|(_, own, _)| own.is_none() || own == &ask)
                    .map(|(index, _, other)| (index, other))
                    .collect();
                indexes.extend(template.covered_by(&candidates)?);
            }
        }
        (!indexes.is_empty()).then_some(indexes)
    }

    fn matches_method(&self, method: Option<&str>) -> bool {
        match (&self.methods, method) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(methods), Some(method)) => methods.iter().any(|listed| listed == method),
        }
    }
}

/// How git asks for one of its paths.
fn methods_of_git(path: &str) -> &'static [&'static str] {
    match path.rsplit('/').next() {
        Some("refs") => &["GET"],
        Some("locks") => &["GET", "POST"],
        Some(_) | None => &["POST"],
    }
}

impl Template {
    fn read(text: &str) -> Self {
        let (body, open_ended) = match text.strip_suffix("/**") {
            Some(body) => (body, true),
            None => (text, false),
        };
        let segments = body.split('/').skip(1).map(Segment::read).collect();
        Self {
            segments,
            open_ended,
        }
    }

    fn covered_by(&self, candidates: &[(usize, &Self)]) -> Option<BTreeSet<usize>> {
        if let Some((index, _)) = candidates.iter().find(|(_, other)| other.covers(self)) {
            return Some(BTreeSet::from([*index]));
        }
        let longest = candidates
            .iter()
            .map(|(_, other)| other.segments.len())
            .max();
        if !self.open_ended || longest.is_none_or(|longest| longest < self.segments.len()) {
            return None;
        }
        let mut indexes = BTreeSet::new();
        for part in self.parts() {
            indexes.extend(part.covered_by(candidates)?);
        }
        Some(indexes)
    }

    /// What an open end stands for: nothing, an empty last segment, or one more and an open end.
    fn parts(&self) -> Vec<Self> {
        let with = |segment: Option<Segment>, open_ended| Self {
            segments: self.segments.iter().cloned().chain(segment).collect(),
            open_ended,
        };
        let mut parts = vec![
            with(Some(Segment::Literal(String::new())), false),
            with(Some(Segment::Around(String::new(), String::new())), true),
        ];
        // There is no path without a segment.
        if !self.segments.is_empty() {
            parts.push(with(None, false));
        }
        parts
    }

    fn covers(&self, other: &Self) -> bool {
        let (ours, theirs) = (self.segments.len(), other.segments.len());
        let lengths_fit = match (self.open_ended, other.open_ended) {
            (true, _) => ours <= theirs,
            (false, true) => false,
            (false, false) => ours == theirs,
        };
        let mut pairs = self.segments.iter().zip(&other.segments);
        lengths_fit && pairs.all(|(ours, theirs)| ours.covers(theirs))
    }
}

impl Segment {
    fn read(text: &str) -> Self {
        match text.split_once('{').zip(text.rsplit_once('}')) {
            Some(((prefix, _), (_, suffix))) => Self::Around(prefix.to_owned(), suffix.to_owned()),
            None => Self::Literal(text.to_owned()),
        }
    }

    /// A capture is never empty.
    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(ours), Self::Literal(theirs)) => ours == theirs,
            (Self::Literal(_), Self::Around(..)) => false,
            (Self::Around(prefix, suffix), Self::Literal(text)) => text
                .strip_prefix(prefix.as_str())
                .and_then(|rest| rest.strip_suffix(suffix.as_str()))
                .is_some_and(|middle| !middle.is_empty()),
            (Self::Around(prefix, suffix), Self::Around(theirs, end)) => {
                theirs.starts_with(prefix.as_str()) && end.ends_with(suffix.as_str())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bitgate::config::{Config, Problem};
    use bitgate::http::RequestTarget;
    use bitgate::json::Json;
    use bitgate::policy::{Found, Shadow};
    use proptest::prelude::*;
    use std::sync::LazyLock;

    /// The earlier rules that cover the last one.
    fn covered(rules: &str) -> Option<Vec<usize>> {
        let json = Json::parse(rules.as_bytes()).unwrap();
        let rules = Node::root(&json).items();
        let shapes = rules
            .iter()
            .enumerate()
            .map(|(index, rule)| Shape::read(index, rule));
        let mut shapes: Vec<_> = shapes.collect();
        let last = shapes.pop().unwrap();
        Some(last.covered_by(&shapes)?.into_iter().collect())
    }

    fn paths(paths: &[&str]) -> Option<Vec<usize>> {
        let rules: Vec<_> = paths
            .iter()
            .map(|path| format!(r#"{{"match": {{"path": "{path}"}}}}"#))
            .collect();
        covered(&format!("[{}]", rules.join(", ")))
    }

    #[test]
    fn a_template_is_covered_by_one_that_is_as_wide() {
        for (earlier, later, expected) in [
            ("/a", "/a", true),
            ("/a", "/a/", false),
            ("/a/**", "/a", true),
            ("/a/**", "/a/", true),
            ("/a/**", "/a/{x}/b", true),
            ("/a/**", "/ab", false),
            ("/{x}", "/a", true),
            ("/{x}", "/", false),
            ("/{x}", "/{y}", true),
            ("/a", "/{x}", false),
            ("/{x}/**", "/a/**", true),
            ("/{x}/**", "/**", false),
            ("/**", "/", true),
            ("/**", "/{x}/**", true),
            ("/{x}.git", "/a.git", true),
            ("/{x}.git", "/.git", false),
            ("/{x}.git", "/{y}.git", true),
            ("/{x}.git", "/{y}", false),
            ("/{x}", "/{y}.git", true),
            ("/v{x}.git", "/v1{y}.tar.git", true),
            ("/v1{x}.git", "/v{y}.git", false),
            ("/{x}.git/**", "/{y}.git/info/refs", true),
        ] {
            let found = paths(&[earlier, later]).is_some();
            assert_eq!(found, expected, "{later} behind {earlier}");
        }
    }

    #[test]
    fn several_rules_cover_an_open_end_together() {
        assert_eq!(
            paths(&["/a", "/a/", "/a/{x}/**", "/a/**"]),
            Some(vec![0, 1, 2])
        );
        assert_eq!(paths(&["/a", "/a/{x}/**", "/a/**"]), None);
        assert_eq!(paths(&["/", "/{x}/**", "/**"]), Some(vec![0, 1]));
        assert_eq!(
            paths(&["/", "/{x}", "/{x}/", "/{x}/{y}/**", "/**"]),
            Some(vec![0, 1, 2, 3])
        );
        assert_eq!(paths(&["/a/{x}", "/b/{x}", "/{y}/{x}"]), None);
    }

    const SEGMENTS: [&str; 6] = ["a", "a.git", "{x}", "{x}", "{x}", "{x}.git"];

    /// A rule over a small alphabet, so that rules often meet.
    fn any_rule() -> impl Strategy<Value = String> {
        let path = (
            prop::collection::vec(0..SEGMENTS.len(), 0..4),
            prop::sample::select(vec!["", "/", "/**"]),
        );
        let path = path.prop_map(|(segments, end)| {
            let segments = segments.iter().enumerate();
            let segments = segments.map(|(place, index)| {
                // A name may be there only once.
                format!("/{}", SEGMENTS[*index].replace('x', &format!("x{place}")))
            });
            let path = segments.collect::<String>() + end;
            if path.is_empty() {
                "/".to_owned()
            } else {
                path
            }
        });
        let paths = prop::collection::vec(path, 1..3);
        let methods = prop::sample::subsequence(vec!["GET", "POST"], 0..=2);
        let kind = (
            any::<bool>(),
            prop::sample::select(vec![false, false, false, true]),
        );
        (paths, methods, kind).prop_map(|(paths, methods, (is_raw, is_shadow))| {
            let methods = match methods.is_empty() {
                true => String::new(),
                false => format!(r#", "methods": {methods:?}"#),
            };
            let tail = match is_raw && paths.iter().all(|path| path.ends_with("/**")) {
                true => r#", "tail": "raw""#,
                false => "",
            };
            format!(
                r#"{{"match": {{"paths": {paths:?}{methods}{tail}}}, "allow": "signed_in",
                    "shadow": {is_shadow}}}"#
            )
        })
    }

    /// Every path of up to four segments, two of which are in no rule: no template has more than
    /// three. Some end with what only a rule with `tail: raw` takes.
    static TARGETS: LazyLock<Vec<RequestTarget>> = LazyLock::new(|| {
        fn longer(paths: &[String], segments: &[&str]) -> Vec<String> {
            let pairs = paths
                .iter()
                .flat_map(|path| segments.iter().map(move |last| (path, last)));
            pairs.map(|(path, last)| format!("{path}/{last}")).collect()
        }
        let mut paths = vec![String::new()];
        let mut longest = paths.clone();
        for _ in 0..4 {
            longest = longer(&longest, &["a", "a.git", "z", "z.git"]);
            paths.extend(longest.clone());
        }
        let short = paths.iter().filter(|path| path.matches('/').count() < 4);
        let short: Vec<_> = short.cloned().collect();
        let with_slash = longer(&paths, &[""]);
        let raw = longer(&short, &["z%2Fz"]);
        let all = paths.iter().skip(1).chain(&with_slash).chain(&raw);
        let parse = |path: &String| RequestTarget::parse(path.as_bytes()).unwrap();
        all.map(parse).collect()
    });

    fn config(rules: &str) -> Result<Config, Vec<Problem>> {
        let text = format!(
            r#"{{"public_url": "http://localhost",
                "bitbucket": {{"client_id": "id", "client_secret": {{"inline": "canary"}},
                    "scopes": ["account"], "web": {{"cluster": "web"}}, "api": {{"cluster": "api"}}}},
                "session": {{"keys": [{{"kid": "a",
                    "key": {{"inline": "dGVzdC1vbmx5LXRlc3Qtb25seS10ZXN0LW9ubHktMDE="}}}}]}},
                "rules": [{rules}]}}"#
        );
        Config::parse(text.as_bytes(), &|_| None)
    }

    /// Who decides, if anybody.
    fn decider(config: &Config, method: &str, target: &RequestTarget) -> Option<usize> {
        let mut start = 0;
        loop {
            match config.policy.find_from(start, method, target) {
                Found::Rule(index, rule) if rule.shadow == Shadow::Logs => {
                    start = index.saturating_add(1)
                }
                Found::Rule(index, _) => return Some(index),
                Found::Nothing | Found::Ambiguous(_) => return None,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against the gate's own rules: every path there is, and a method that no rule names.
        #[test]
        fn a_rule_is_covered_if_no_request_reaches_it(
            rules in prop::collection::vec(any_rule(), 1..6),
        ) {
            let text = rules.join(", ");
            let json = Json::parse(format!("[{text}]").as_bytes()).unwrap();
            let nodes = Node::root(&json).items();
            let shapes = nodes.iter().enumerate().map(|(index, rule)| Shape::read(index, rule));
            let shapes: Vec<_> = shapes.collect();
            let is_covered = |index: usize| {
                let deciding = nodes.iter().zip(&shapes).take(index);
                let deciding = deciding.filter(|(rule, _)| !rule.is_true("shadow"));
                let earlier: Vec<_> = deciding.map(|(_, shape)| shape.clone()).collect();
                shapes[index].covered_by(&earlier).is_some()
            };
            match config(&text) {
                Ok(config) => {
                    let mut reached = vec![false; rules.len()];
                    for target in TARGETS.iter() {
                        for method in ["GET", "POST", "PATCH"] {
                            if let Some(index) = decider(&config, method, target) {
                                reached[index] = true;
                            }
                        }
                    }
                    for (index, reached) in reached.iter().enumerate() {
                        // One on trial is met and does not decide.
                        if config.policy.rules()[index].shadow == Shadow::Logs {
                            continue;
                        }
                        prop_assert_eq!(is_covered(index), !reached, "rules[{}] of {}", index, text);
                    }
                }
                // The reader refuses some of them itself.
                Err(problems) => for problem in problems {
                    let index = problem.path.split(['[', ']']).nth(1).unwrap();
                    prop_assert!(is_covered(index.parse().unwrap()), "{} in {}", problem, text);
                },
            }
        }
    }

    #[test]
    fn what_git_asks_for_is_covered_by_the_same_or_by_any_request() {
        let rules = |earlier: &str, last: &str| {
            covered(&format!(r#"[{{"match": {earlier}}}, {{"match": {last}}}]"#)).is_some()
        };
        let read = r#"{"path": "/a/{r}.git", "git": "read"}"#;
        for (earlier, last, expected) in [
            (read, read, true),
            (
                r#"{"path": "/{w}/{r}", "git": ["read", "write"]}"#,
                read,
                true,
            ),
            (r#"{"path": "/a/{r}", "git": "write"}"#, read, false),
            (r#"{"path": "/a/b", "git": "read"}"#, read, false),
            (r#"{"path": "/a/**"}"#, read, true),
            (
                r#"{"path": "/a/**", "methods": ["GET", "POST"]}"#,
                read,
                true,
            ),
            (r#"{"path": "/a/**", "methods": ["POST"]}"#, read, false),
            // Another query, another method: no request of git.
            (read, r#"{"path": "/a/b.git/info/refs"}"#, false),
            (
                read,
                r#"{"path": "/a/b.git/git-upload-pack", "methods": ["POST"]}"#,
                false,
            ),
            (
                r#"{"path": "/a/b", "git": ["lfs", "read", "write"]}"#,
                r#"{"path": "/a/b.git/**"}"#,
                false,
            ),
        ] {
            assert_eq!(rules(earlier, last), expected, "{last} behind {earlier}");
        }
    }

    #[test]
    fn methods_are_divided_among_rules() {
        let rules = |last: &str| {
            covered(&format!(
                r#"[
                    {{"match": {{"paths": ["/a", "/b/**"], "methods": ["GET", "HEAD"]}}}},
                    {{"match": {{"path": "/{{x}}", "methods": ["POST"]}}}},
                    {{"match": {last}}}
                ]"#
            ))
        };
        assert_eq!(
            rules(r#"{"path": "/a", "methods": ["GET", "POST"]}"#),
            Some(vec![0, 1])
        );
        assert_eq!(rules(r#"{"path": "/a", "methods": ["GET", "PUT"]}"#), None);
        assert_eq!(rules(r#"{"path": "/a"}"#), None);
        assert_eq!(
            rules(r#"{"paths": ["/a", "/b"], "methods": ["HEAD"]}"#),
            Some(vec![0])
        );
        assert_eq!(
            rules(r#"{"paths": ["/a", "/c"], "methods": ["HEAD"]}"#),
            None
        );
    }
}
