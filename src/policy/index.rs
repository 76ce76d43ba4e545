//! Finds rules by path without looking at each of them: a tree over the segments of all templates.
//!
//! The cost of a decision follows the depth of the path and the captures on the way, not the number
//! of rules.

use crate::policy::Rule;
use crate::policy::template::{Affixes, Segment};

/// The rules that a path reaches on its way down, by their place in the list, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    /// In the order of their texts.
    literals: Vec<(Box<str>, Node)>,
    captures: Vec<(Affixes, Node)>,
    /// Of templates that end here.
    ends: Vec<usize>,
    /// Of templates that end here with `/**`.
    open: Vec<usize>,
}

/// The tree of all rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    root: Node,
}

impl Index {
    pub(super) fn new(rules: &[Rule]) -> Self {
        let mut root = Node::default();
        for (place, rule) in rules.iter().enumerate() {
            for template in &rule.paths {
                root.insert(template.segments(), template.is_open_ended(), place);
            }
        }
        Self { root }
    }

    /// The first rule at `start` or behind it whose template matches `path`, and of which `fits` says
    /// so, too.
    pub(super) fn first(
        &self,
        start: usize,
        path: &str,
        fits: &dyn Fn(usize) -> bool,
    ) -> Option<usize> {
        let mut search = Search {
            start,
            best: None,
            fits,
        };
        self.root.search(path.strip_prefix('/'), &mut search);
        search.best
    }
}

struct Search<'f> {
    start: usize,
    best: Option<usize>,
    fits: &'f dyn Fn(usize) -> bool,
}

impl Search<'_> {
    fn offer(&mut self, places: &[usize]) {
        let behind = places.partition_point(|place| *place < self.start);
        let candidates = places.iter().skip(behind);
        let better = candidates.take_while(|place| self.best.is_none_or(|best| **place < best));
        let found = better.copied().find(|place| (self.fits)(*place));
        self.best = found.or(self.best);
    }
}

impl Node {
    fn insert(&mut self, segments: &[Segment], is_open: bool, place: usize) {
        let Some((segment, rest)) = segments.split_first() else {
            let list = if is_open {
                &mut self.open
            } else {
                &mut self.ends
            };
            if list.last() != Some(&place) {
                list.push(place);
            }
            return;
        };
        let child = match segment {
            Segment::Literal(text) => {
                let found = self
                    .literals
                    .binary_search_by(|(known, _)| (**known).cmp(text));
                let at = found.unwrap_or_else(|at| {
                    self.literals
                        .insert(at, (text.as_str().into(), Self::default()));
                    at
                });
                self.literals.get_mut(at).map(|(_, node)| node)
            }
            Segment::Capture { affixes, .. } => {
                let found = self.captures.iter().position(|(known, _)| known == affixes);
                let at = found.unwrap_or(self.captures.len());
                if found.is_none() {
                    self.captures.push((affixes.clone(), Self::default()));
                }
                self.captures.get_mut(at).map(|(_, node)| node)
            }
        };
        // It was found or added.
        if let Some(child) = child {
            child.insert(rest, is_open, place);
        }
    }

    /// `rest` is what follows of the path, without the slash before it; `None` at its end. Templates
    /// have at most 64 segments, so this is not deep.
    fn search(&self, rest: Option<&str>, search: &mut Search<'_>) {
        search.offer(&self.open);
        let Some(rest) = rest else {
            search.offer(&self.ends);
            return;
        };
        let (segment, rest) = match rest.split_once('/') {
            Some((segment, rest)) => (segment, Some(rest)),
            None => (rest, None),
        };
        let found = self
            .literals
            .binary_search_by(|(known, _)| (**known).cmp(segment));
        if let Some((_, node)) = found.ok().and_then(|at| self.literals.get(at)) {
            node.search(rest, search);
        }
        for (affixes, node) in &self.captures {
            if affixes.strip(segment).is_some() {
                node.search(rest, search);
            }
        }
    }
}
