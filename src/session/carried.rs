//! A grant as a request brings it: whole, or by a name for what lies apart.

use crate::session::grant_cookies::MOST;
use crate::session::kept_grants::Kept;
use crate::time::UnixTime;

/// The end of a box is its tag, 16 bytes that no other one has.
const TAG: usize = 22;

/// The cookies of a grant, as a request brought them: those that were seen before are only compared.
#[derive(Clone, Copy, Debug)]
pub(super) struct Brought<'a>(pub(super) [&'a [u8]; MOST]);

impl<'a> Brought<'a> {
    /// Whether they hold what [`Self::text`] gave before.
    pub(super) fn are(&self, text: &str) -> bool {
        let mut parts = self.0.iter();
        let rest = parts.try_fold(text.as_bytes(), |rest, part| rest.strip_prefix(*part));
        rest == Some(b"")
    }

    /// What they hold, one behind the other; `None` if that is no text.
    pub(super) fn text(&self) -> Option<String> {
        String::from_utf8(self.0.concat()).ok()
    }

    /// What that means; `None` if nothing.
    pub(super) fn read(&self) -> Option<Carried<'a>> {
        let mut parts = [""; MOST];
        for (part, bytes) in parts.iter_mut().zip(self.0) {
            *part = std::str::from_utf8(bytes).ok()?;
        }
        let [first, ..] = &mut parts;
        if first.starts_with('0') {
            return Reference::read(first).map(Carried::Kept);
        }
        // The number of parts, which whoever gathered them has read.
        let (_, rest) = first.split_at_checked(1)?;
        let (mark, rest) = rest.split_at_checked(1)?;
        let lies_apart = match mark {
            "." => false,
            "~" => true,
            _ => return None,
        };
        *first = rest;
        Some(Carried::Whole(Parts { parts, lies_apart }))
    }
}

/// A grant as a request brought it.
#[derive(Clone, Copy, Debug)]
pub(super) enum Carried<'a> {
    Whole(Parts<'a>),
    Kept(Reference<'a>),
}

/// What names a grant that is too large to travel.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reference<'a> {
    pub(super) ends_at: UnixTime,
    tag: &'a str,
}

impl<'a> Reference<'a> {
    pub(super) fn read(text: &'a str) -> Option<Self> {
        let (ends_at, tag) = text.strip_prefix("0.")?.split_once('.')?;
        let is_tag = tag.len() == TAG;
        let ends_at = UnixTime(ends_at.parse().ok()?);
        is_tag.then_some(Self { ends_at, tag })
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
    pub(super) fn join(&self) -> String {
        self.parts.concat()
    }
}

/// The end of a box.
pub(super) fn tag(text: &str) -> &str {
    let tail = text.len().checked_sub(TAG);
    tail.and_then(|at| text.get(at..)).unwrap_or(text)
}
