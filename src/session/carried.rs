//! A grant as a request brings it: whole, or by a name for what lies apart.

use crate::session::grant_cookies::MOST;
use crate::session::kept_grants::Kept;
use crate::time::UnixTime;

/// The end of a box is its tag, 16 bytes that no other one has.
const TAG: usize = 22;

/// A grant as a request brought it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Carried<'a> {
    Whole(Parts<'a>),
    Kept(Reference<'a>),
}

impl Carried<'_> {
    /// Whether it is what [`Self::text`] gave before.
    pub(super) fn are(&self, text: &str) -> bool {
        match self {
            Self::Whole(parts) => parts.are(text),
            Self::Kept(reference) => reference.text == text,
        }
    }

    /// What the cookies hold.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Whole(parts) => parts.join(),
            Self::Kept(reference) => reference.text.to_owned(),
        }
    }
}

/// What names a grant that is too large to travel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    text: &'a str,
    pub(super) ends_at: UnixTime,
    tag: &'a str,
}

impl<'a> Reference<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (ends_at, tag) = text.strip_prefix("0.")?.split_once('.')?;
        let is_tag = tag.len() == TAG;
        let ends_at = UnixTime(ends_at.parse().ok()?);
        is_tag.then_some(Self { text, ends_at, tag })
    }

    /// What a grant is to the one that is named. Who says a wrong end loses their own only.
    pub(super) fn compare(&self, kept: &Kept) -> Compared {
        if self.names(&kept.sealed) {
            Compared::Same
        } else if kept.ends_at > self.ends_at {
            Compared::Newer
        } else {
            Compared::Older
        }
    }

    /// Whether it names this box.
    pub(super) fn names(&self, text: &str) -> bool {
        tag(text) == self.tag
    }
}

/// See [`Reference::compare`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Compared {
    Same,
    Newer,
    Older,
}

/// The parts of a grant as a request brought them. Nothing is copied.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    pub(super) parts: [&'a str; MOST],
    /// Whether they were brought from there.
    pub(super) lies_apart: bool,
}

impl Parts<'_> {
    /// Whether the parts make up `text`.
    pub(super) fn are(&self, text: &str) -> bool {
        let rest = self
            .parts
            .iter()
            .try_fold(text, |rest, part| rest.strip_prefix(part));
        rest == Some("")
    }

    pub(super) fn join(&self) -> String {
        self.parts.concat()
    }
}

/// The end of a box.
pub(super) fn tag(text: &str) -> &str {
    let tail = text.len().checked_sub(TAG);
    tail.and_then(|at| text.get(at..)).unwrap_or(text)
}
