//! Finds people at once, however many there are and whatever a test does to the list.

use std::collections::HashMap;

use crate::bitbucket::settings::Person;

/// Where people are in the list. A hint: it is checked, and a list that was changed is searched.
#[derive(Debug, Default)]
pub(super) struct Places {
    by_account_id: HashMap<String, usize>,
    by_uuid: HashMap<String, usize>,
    known: (usize, usize),
}

impl Places {
    /// Learns where everybody is, if the list looks like another one.
    pub(super) fn learn(&mut self, people: &[Person]) {
        let looks = (people.as_ptr().addr(), people.len());
        if self.known == looks {
            return;
        }
        self.known = looks;
        let places = || people.iter().enumerate();
        self.by_account_id = places().map(|(at, p)| (p.account_id.clone(), at)).collect();
        self.by_uuid = places().map(|(at, p)| (p.uuid.clone(), at)).collect();
    }

    pub(super) fn person<'p>(&self, people: &'p [Person], account_id: &str) -> Option<&'p Person> {
        let is_them = |person: &&Person| person.account_id == account_id;
        let hint = self.by_account_id.get(account_id);
        let hinted = hint.and_then(|at| people.get(*at)).filter(is_them);
        hinted.or_else(|| people.iter().find(is_them))
    }

    pub(super) fn with_uuid<'p>(&self, people: &'p [Person], uuid: &str) -> Option<&'p Person> {
        let is_them = |person: &&Person| person.uuid == uuid;
        let hint = self.by_uuid.get(uuid);
        let hinted = hint.and_then(|at| people.get(*at)).filter(is_them);
        hinted.or_else(|| people.iter().find(is_them))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bitbucket::Settings;

    #[test]
    fn a_list_that_was_changed_in_place_is_searched() {
        let mut people = Settings::default().people;
        let mut places = Places::default();
        places.learn(&people);
        let ada = people[0].account_id.clone();
        people.swap(0, 2);
        assert_eq!(places.person(&people, &ada).unwrap().nickname, "ada");
        people[2].account_id = "renamed".to_owned();
        assert!(places.person(&people, &ada).is_none());
        let uuid = people[2].uuid.clone();
        assert_eq!(
            places.with_uuid(&people, &uuid).unwrap().account_id,
            "renamed"
        );
        people.clear();
        places.learn(&people);
        assert!(places.person(&people, "renamed").is_none());
    }
}
