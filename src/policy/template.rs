//! Path templates.
//!
//! ```text
//! template = "/" | 1*( "/" segment ) [ "/**" ] | "/**"
//! segment  = literal | literal "{" name "}" literal     ; literals may be empty
//! ```
//! A literal is compared exactly with a segment of the normalised path, `{name}` is one or more
//! characters of it (`{repo}.git`), and `/**` is zero or more further segments: `/api/**` matches
//! `/api`, `/api/` and below.

use std::fmt;

use crate::http::RequestTarget;
use crate::sorted::sorted;

/// The most segments of a template.
const MAX_SEGMENTS: usize = 64;

/// One segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Segment {
    Capture { name: String, affixes: Affixes },
    Literal(String),
}

/// What stands around a capture in its segment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Affixes {
    prefix: String,
    suffix: String,
}

impl Affixes {
    /// What a segment has between them; at least one character.
    pub(super) fn strip<'t>(&self, text: &'t str) -> Option<&'t str> {
        let inner = text.strip_prefix(self.prefix.as_str())?;
        let inner = inner.strip_suffix(self.suffix.as_str())?;
        (!inner.is_empty()).then_some(inner)
    }

    /// Whether every segment that `other` takes is taken by this, too.
    fn cover(&self, other: &Self) -> bool {
        other.prefix.starts_with(&self.prefix) && other.suffix.ends_with(&self.suffix)
    }
}

/// A parsed template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
    open_ended: bool,
}

/// Why a text is no template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TemplateError {
    /// A `{`, `}` or `*` where it means nothing.
    Special,
    /// More segments than a path of this world has.
    TooDeep,
    /// The same `{name}` twice.
    CaptureTwice,
    /// A name that is not letters, digits and `_`.
    CaptureName,
    /// A literal that no normalised path can equal: it would never match.
    Literal,
    /// It does not begin with `/`.
    NotAPath,
}

impl PathTemplate {
    /// Reads a template.
    ///
    /// # Errors
    /// [`TemplateError`] says why it could never match what it seems to say.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let Some(rest) = text.strip_prefix('/') else {
            return Err(TemplateError::NotAPath);
        };
        let (body, open_ended) = match rest.strip_suffix("**") {
            Some("") => ("", true),
            Some(body) => (body.strip_suffix('/').ok_or(TemplateError::Special)?, true),
            None => (rest, false),
        };
        let mut segments = Vec::new();
        // "/**" has no segment, "/" has one empty one.
        if !(open_ended && rest == "**") {
            for segment in body.split('/') {
                segments.push(Segment::parse(segment)?);
            }
        }
        if segments.len() > MAX_SEGMENTS {
            return Err(TemplateError::TooDeep);
        }
        let names = sorted(segments.iter().filter_map(Segment::name).collect());
        if !names.is_sorted_by(|a, b| a < b) {
            return Err(TemplateError::CaptureTwice);
        }
        let template = Self {
            segments,
            open_ended,
        };
        template.check_literals()?;
        Ok(template)
    }

    /// With a sample for each capture the template must be a path that stays as it is.
    fn check_literals(&self) -> Result<(), TemplateError> {
        let mut sample = String::new();
        for segment in &self.segments {
            sample.push('/');
            match segment {
                Segment::Capture { affixes, .. } => {
                    sample.extend([affixes.prefix.as_str(), "x", affixes.suffix.as_str()]);
                }
                Segment::Literal(text) => sample.push_str(text),
            }
        }
        if self.open_ended {
            sample.push_str("/x");
        }
        let target = RequestTarget::parse(sample.as_bytes()).map_err(|_| TemplateError::Literal)?;
        if target.path() == sample && target.ambiguity().is_none() {
            Ok(())
        } else {
            Err(TemplateError::Literal)
        }
    }

    /// Whether it ends with `/**`.
    #[must_use]
    pub fn is_open_ended(&self) -> bool {
        self.open_ended
    }

    /// Whether it names no place of the site: `/**`, and `/{a}/**` too.
    #[must_use]
    pub fn is_whole_site(&self) -> bool {
        let is_any = |segment: &Segment| match segment {
            Segment::Capture { affixes, .. } => *affixes == Affixes::default(),
            Segment::Literal(_) => false,
        };
        self.open_ended && self.segments.iter().all(is_any)
    }

    /// Its segments, without the `/**`.
    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of its captures.
    pub fn captures(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(Segment::name)
    }

    /// What the capture `name` has in `path`, which the template matches; as in the normalised path.
    #[must_use]
    pub fn capture<'p>(&self, name: &str, path: &'p str) -> Option<&'p str> {
        let found = path.strip_prefix('/')?.split('/');
        let mut pairs = self.segments.iter().zip(found);
        pairs.find_map(|(segment, text)| match segment {
            Segment::Capture {
                name: ours,
                affixes,
            } if ours == name => affixes.strip(text),
            Segment::Capture { .. } | Segment::Literal(_) => None,
        })
    }

    /// Whether it matches every path that `other` matches.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.segments, &other.segments);
        let enough = match (self.open_ended, other.open_ended) {
            (true, _) => ours.len() <= theirs.len(),
            (false, true) => false,
            (false, false) => ours.len() == theirs.len(),
        };
        enough
            && ours
                .iter()
                .zip(theirs)
                .all(|(ours, theirs)| ours.covers(theirs))
    }

    /// The path up to the first capture, with a slash at its end: `/a/b/` for `/a/b/{c}/**`.
    #[must_use]
    pub fn literal_prefix(&self) -> String {
        let mut prefix = "/".to_owned();
        for segment in &self.segments {
            let Segment::Literal(text) = segment else {
                break;
            };
            if !text.is_empty() {
                prefix.push_str(text);
                prefix.push('/');
            }
        }
        prefix
    }

    /// The folder that it matches whole, if it does: `/a/` for `/a/**`.
    #[must_use]
    pub fn folder(&self) -> Option<String> {
        let is_literal = self.segments.iter().all(|segment| segment.name().is_none());
        (self.open_ended && is_literal).then(|| self.literal_prefix())
    }

    /// Whether the template matches a normalised path.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.matches_with(path, |_| true)
    }

    /// Whether it matches, and `%2F` and `;` occur in the tail of its `/**` alone: no literal and
    /// no capture depends on how they are read.
    #[must_use]
    pub fn matches_up_to_tail(&self, path: &str) -> bool {
        self.open_ended
            && self.matches_with(path, |segment| {
                !segment.contains(';') && !segment.contains("%2F") && !segment.contains("%3B")
            })
    }

    fn matches_with(&self, path: &str, is_clear: impl Fn(&str) -> bool) -> bool {
        let Some(rest) = path.strip_prefix('/') else {
            return false;
        };
        let mut found = rest.split('/');
        for segment in &self.segments {
            let Some(text) = found.next() else {
                return false;
            };
            if !segment.matches(text) || !is_clear(text) {
                return false;
            }
        }
        self.open_ended || found.next().is_none()
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        let special = ['{', '}', '*'];
        let Some((prefix, rest)) = text.split_once('{') else {
            return match text.contains(special) {
                true => Err(TemplateError::Special),
                false => Ok(Self::Literal(text.to_owned())),
            };
        };
        let (name, suffix) = rest.split_once('}').ok_or(TemplateError::Special)?;
        if prefix.contains(special) || suffix.contains(special) {
            return Err(TemplateError::Special);
        }
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
        match !name.is_empty() && name.bytes().all(is_word) {
            true => Ok(Self::Capture {
                name: name.to_owned(),
                affixes: Affixes {
                    prefix: prefix.to_owned(),
                    suffix: suffix.to_owned(),
                },
            }),
            false => Err(TemplateError::CaptureName),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Capture { name, .. } => Some(name),
            Self::Literal(_) => None,
        }
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Capture { affixes, .. } => affixes.strip(text).is_some(),
            Self::Literal(literal) => literal == text,
        }
    }

    fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (_, Self::Literal(text)) => self.matches(text),
            (
                Self::Capture { affixes: ours, .. },
                Self::Capture {
                    affixes: theirs, ..
                },
            ) => ours.cover(theirs),
            (Self::Literal(_), Self::Capture { .. }) => false,
        }
    }
}

impl fmt::Display for TemplateError {
    /// The expectation; the caller says what was found.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CaptureName => {
                "expected a name of letters, digits and \"_\" between \"{\" and \"}\""
            }
            Self::CaptureTwice => "expected each {name} once",
            Self::Literal => {
                "expected a normalised path (no query, no \"//\", no dot segments, \
                 upper-case percent-encoding only where it is needed)"
            }
            Self::NotAPath => "expected a path starting with \"/\"",
            Self::Special => {
                "expected one \"{name}\" in a segment at most, and \"**\" as the last one only"
            }
            Self::TooDeep => "expected at most 64 segments",
        })
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_match_whole_segments() {
        let table = [
            ("/", &["/"][..], &["/a", "//"][..]),
            ("/**", &["/", "/a", "/a/", "/a/b"], &[]),
            ("/api", &["/api"], &["/api/", "/apis", "/API", "/"]),
            ("/api/", &["/api/"], &["/api", "/api/a"]),
            (
                "/api/**",
                &["/api", "/api/", "/api/a", "/api/a/b/"],
                &["/apis", "/ap", "/"],
            ),
            ("/{a}", &["/x", "/x%20y"], &["/", "/x/", "/x/y"]),
            (
                "/a/{b}/c",
                &["/a/x/c"],
                &["/a//c", "/a/c", "/a/x/d", "/a/x/c/"],
            ),
            (
                "/{w}/{r}/**",
                &["/w/r", "/w/r/", "/w/r/s/t"],
                &["/w", "/w/"],
            ),
            ("/caf%C3%A9", &["/caf%C3%A9"], &["/caf%c3%a9"]),
            (
                "/{w}/{r}.git/**",
                &["/w/r.git", "/w/r.git.git/x"],
                &["/w/r", "/w/.git", "/w/r.gi/x"],
            ),
            ("/v{n}-x", &["/v1-x", "/v-x-x"], &["/v-x", "/1-x", "/v1"]),
        ];
        for (template, matching, others) in table {
            let parsed = PathTemplate::parse(template).unwrap();
            for path in matching {
                assert!(parsed.matches(path), "{template} {path}");
            }
            for path in others {
                assert!(!parsed.matches(path), "{template} {path}");
            }
        }
    }

    #[test]
    fn captures_are_read_and_covers_is_inclusion() {
        let template = |text| PathTemplate::parse(text).unwrap();
        let git = template("/{w}/{r}.git/**");
        assert_eq!(git.capture("r", "/acme/a.git.git/x"), Some("a.git"));
        assert_eq!(git.capture("w", "/acme/a.git/x"), Some("acme"));
        assert_eq!(git.capture("x", "/acme/a.git/x"), None);
        for (ours, theirs, expected) in [
            ("/**", "/a/{b}", true),
            ("/a/**", "/a", true),
            ("/a/**", "/a/b/**", true),
            ("/{a}/**", "/x/y.git/**", true),
            ("/{a}.git", "/{b}.tar.git", true),
            ("/{a}.git", "/x.git", true),
            ("/{a}.git", "/{b}", false),
            ("/a", "/a/**", false),
            ("/a/b/**", "/a/**", false),
            ("/a", "/{b}", false),
        ] {
            assert_eq!(
                template(ours).covers(&template(theirs)),
                expected,
                "{ours} {theirs}"
            );
        }
    }

    #[test]
    fn what_could_never_match_is_refused() {
        use TemplateError::{CaptureName, CaptureTwice, Literal, NotAPath, Special};
        let table = [
            ("", NotAPath),
            ("api", NotAPath),
            ("**", NotAPath),
            ("/a**", Special),
            ("/**/a", Special),
            ("/*", Special),
            ("/{a}{b}", Special),
            ("/{a{b}", CaptureName),
            ("/a}b", Special),
            ("/{a", Special),
            ("/{a}*", Special),
            ("/{}", CaptureName),
            ("/{a b}", CaptureName),
            ("/{a}/{a}", CaptureTwice),
            ("/a//b", Literal),
            ("/a/../b", Literal),
            ("/a?b", Literal),
            ("/%61", Literal),
            ("/caf%c3%a9", Literal),
            ("/a%2Fb", Literal),
            ("/a;b", Literal),
            ("/caf\u{e9}", Literal),
            ("/a b", Literal),
            ("//**", Literal),
        ];
        for (text, error) in table {
            assert_eq!(PathTemplate::parse(text), Err(error), "{text}");
        }
    }
}
