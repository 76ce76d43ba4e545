//! Answers that a worker has read before: a warm request neither parses nor looks into shared data.

use std::num::NonZeroUsize;
use std::rc::Rc;

use lru::LruCache;

use crate::rights::{Answer, Question};
use crate::time::UnixTime;

/// The most people of one worker.
const MAX_PEOPLE: NonZeroUsize = NonZeroUsize::new(2_048).unwrap();

/// The most answers about one person: each is about one workspace.
const MAX_ANSWERS: usize = 32;

/// About the most bytes of all answers of one worker.
const MAX_BYTES: usize = 16 * 1_024 * 1_024;

/// An answer, and how old it is.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    question: Question,
    pub(super) answer: Rc<Answer>,
    /// When the question was asked.
    pub(super) asked_at: UnixTime,
    /// Until then it is used although it is old: somebody has just tried.
    pub(super) settled_until: UnixTime,
    /// Until then nobody asks it ahead: somebody has just tried.
    pub(super) tried_until: UnixTime,
}

impl Entry {
    pub(super) fn new(question: Question, answer: Rc<Answer>, asked_at: UnixTime) -> Self {
        Self {
            question,
            answer,
            asked_at,
            settled_until: UnixTime(0),
            tried_until: UnixTime(0),
        }
    }
}

/// A bounded map from people to answers about them; the least recently used people go first.
#[derive(Debug)]
pub(super) struct Cache {
    people: LruCache<Box<str>, Vec<Entry>>,
    bytes: usize,
}

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            people: LruCache::new(MAX_PEOPLE),
            bytes: 0,
        }
    }

    pub(super) fn find(&mut self, question: &Question, account_id: &str) -> Option<&mut Entry> {
        let entries = self.people.get_mut(account_id)?;
        entries.iter_mut().find(|entry| entry.question == *question)
    }

    pub(super) fn forget(&mut self, question: &Question, account_id: &str) {
        let Some(entries) = self.people.get_mut(account_id) else {
            return;
        };
        if let Some(at) = entries.iter().position(|entry| entry.question == *question) {
            let weight = entries.remove(at).answer.weight();
            self.bytes = self.bytes.saturating_sub(weight);
        }
    }

    pub(super) fn keep(&mut self, account_id: &str, entry: Entry) {
        self.bytes = self.bytes.saturating_add(entry.answer.weight());
        if let Some(entries) = self.people.get_mut(account_id) {
            let mut dropped = Vec::new();
            entries.retain(|known| {
                let stays = known.question != entry.question;
                if !stays {
                    dropped.push(known.answer.weight());
                }
                stays
            });
            if entries.len() >= MAX_ANSWERS {
                dropped.push(entries.remove(0).answer.weight());
            }
            entries.push(entry);
            let freed = dropped.into_iter().fold(0, usize::saturating_add);
            self.bytes = self.bytes.saturating_sub(freed);
        } else if let Some((_, old)) = self.people.push(account_id.into(), vec![entry]) {
            self.bytes = self.bytes.saturating_sub(weight(&old));
        }
        while self.bytes > MAX_BYTES {
            let Some((_, old)) = self.people.pop_lru() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(weight(&old));
        }
    }
}

fn weight(entries: &[Entry]) -> usize {
    let weights = entries.iter().map(|entry| entry.answer.weight());
    weights.fold(0, usize::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rights::Row;

    #[test]
    fn people_answers_and_bytes_stay_bounded() {
        let mut cache = Cache::new();
        let rows = (0..1_000).map(|row| Row::new(&row.to_string(), "u".to_owned()));
        let rows: Vec<Row> = rows.collect();
        let large = Rc::new(Answer::new(None, &rows).unwrap());
        for index in 0..5_000 {
            let question = Question::Role(format!("w{}", index % 100));
            let account = format!("a{}", index / 100 % 2);
            cache.keep(
                &account,
                Entry::new(question, Rc::clone(&large), UnixTime(index)),
            );
            assert!(cache.bytes <= MAX_BYTES);
        }
        for (_, entries) in &cache.people {
            assert!(entries.len() <= MAX_ANSWERS);
        }
        for index in 0..10_000 {
            let entry = Entry::new(Question::Workspaces, Rc::clone(&large), UnixTime(index));
            cache.keep(&format!("b{index}"), entry);
            assert!(cache.bytes <= MAX_BYTES && cache.people.len() <= MAX_PEOPLE.get());
        }
        cache.forget(&Question::Role("w1".to_owned()), "a0");
        cache.forget(&Question::Workspaces, "b9998");
        assert!(cache.find(&Question::Workspaces, "b9998").is_none());
        let counted: usize = cache
            .people
            .iter()
            .map(|(_, entries)| weight(entries))
            .sum();
        assert_eq!(counted, cache.bytes);
        assert!(cache.find(&Question::Workspaces, "b9999").is_some());
        assert!(
            cache
                .find(&Question::Role("w1".to_owned()), "b9999")
                .is_none()
        );
    }
}
