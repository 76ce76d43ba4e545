//! Path templates.
//!
//! ```text
//! template = "/" | 1*( "/" segment ) [ "/**" ] | "/**"
//! segment  = literal | "{" name "}"          ; the last one may be an empty literal
//! ```
//! A literal is compared exactly with a segment of the normalised path, `{name}` is one non-empty
//! segment, and `/**` is zero or more further segments: `/api/**` matches `/api`, `/api/` and below.

use std::fmt;

use crate::http::RequestTarget;

#[derive(Clone, Debug, PartialEq, Eq)]
enum Segment {
    Capture(String),
    Literal(String),
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
        let mut names: Vec<&str> = segments.iter().filter_map(Segment::name).collect();
        names.sort_unstable();
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
            sample.push_str(match segment {
                Segment::Capture(_) => "x",
                Segment::Literal(text) => text,
            });
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
        self.open_ended && self.segments.iter().all(|segment| segment.name().is_some())
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
            let equal = match segment {
                Segment::Capture(_) => !text.is_empty(),
                Segment::Literal(literal) => literal == text,
            };
            if !equal || !is_clear(text) {
                return false;
            }
        }
        self.open_ended || found.next().is_none()
    }
}

impl Segment {
    fn parse(text: &str) -> Result<Self, TemplateError> {
        let inner = text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match inner {
            Some(name) => {
                let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
                match !name.is_empty() && name.bytes().all(is_word) {
                    true => Ok(Self::Capture(name.to_owned())),
                    false => Err(TemplateError::CaptureName),
                }
            }
            None if text.contains(['{', '}', '*']) => Err(TemplateError::Special),
            None => Ok(Self::Literal(text.to_owned())),
        }
    }

    fn name(&self) -> Option<&str> {
        match self {
            Self::Capture(name) => Some(name),
            Self::Literal(_) => None,
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
                "expected \"{name}\" as a whole segment and \"**\" as the last one only"
            }
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
    fn what_could_never_match_is_refused() {
        use TemplateError::{CaptureName, CaptureTwice, Literal, NotAPath, Special};
        let table = [
            ("", NotAPath),
            ("api", NotAPath),
            ("**", NotAPath),
            ("/a**", Special),
            ("/**/a", Special),
            ("/*", Special),
            ("/a{b}", Special),
            ("/{a", Special),
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
