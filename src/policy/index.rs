//! Finds rules by path without looking at each of them: a tree over the segments of all templates.
//!
//! The cost of a decision follows the depth of the path and the captures on the way, not the number
//! of rules.

use std::collections::BTreeMap;

use crate::policy::Rule;
use crate::policy::template::{Affixes, Segment};

/// The rules that a path reaches on its way down, by their place in the list, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Node {
    literals: BTreeMap<Box<str>, Node>,
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
                let mut node = &mut root;
                for segment in template.segments() {
                    node = node.child(segment);
                }
                let list = match template.is_open_ended() {
                    true => &mut node.open,
                    false => &mut node.ends,
                };
                if list.last() != Some(&place) {
                    list.push(place);
                }
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
    fn child(&mut self, segment: &Segment) -> &mut Self {
        match segment {
            Segment::Literal(text) => self.literals.entry(text.as_str().into()).or_default(),
            Segment::Capture { affixes, .. } => {
                let known = self.captures.iter().position(|(known, _)| known == affixes);
                let at = known.unwrap_or(self.captures.len());
                if known.is_none() {
                    self.captures.push((affixes.clone(), Self::default()));
                }
                match self.captures.get_mut(at) {
                    Some((_, node)) => node,
                    // It was found or added.
                    None => self.literals.entry("".into()).or_default(),
                }
            }
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
        if let Some(node) = self.literals.get(segment) {
            node.search(rest, search);
        }
        for (affixes, node) in &self.captures {
            if affixes.strip(segment).is_some() {
                node.search(rest, search);
            }
        }
    }
}
