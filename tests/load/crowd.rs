//! The people: when they come, what they look at, and what they may.

use bitgate_simulator::bitbucket::{Directory, Email, Permission, Person, Repository, Role};

pub const SECOND: u64 = 1_000;
pub const MINUTE: u64 = 60 * SECOND;
pub const HOUR: u64 = 60 * MINUTE;
pub const DAY: u64 = 24 * HOUR;

pub const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";

/// All repositories of the workspace, and how many of them each person has a permission on.
const REPOSITORIES: u64 = 400;
const REPOSITORIES_OF_EACH: u64 = 20;

/// Chance that is the same every time.
#[derive(Debug)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    /// From `low` on, and less than `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low)
    }

    fn unit(&mut self) -> f64 {
        self.next() as f64 / (1_u64 << 53) as f64
    }

    pub fn percent(&mut self, percent: u64) -> bool {
        self.between(0, 100) < percent
    }

    /// A time around `mean`, with this deviation and no further away than twice that and a half.
    fn around(&mut self, mean: u64, deviation: u64) -> u64 {
        // Twelve throws of a die make a bell.
        let bell: f64 = (0..12).map(|_| self.unit()).sum::<f64>() - 6.0;
        (mean as f64 + bell.clamp(-2.5, 2.5) * deviation as f64) as u64
    }

    /// A pause with this mean: mostly short, and sometimes long.
    fn pause(&mut self, mean: u64) -> u64 {
        let pause = -(1.0 - self.unit()).ln() * mean as f64;
        (pause as u64).clamp(20 * SECOND, 5 * mean)
    }
}

/// The times of a day at which somebody is there; each is half open.
#[derive(Clone, Debug)]
pub struct Habits {
    there: Vec<(u64, u64)>,
}

impl Habits {
    /// Comes between 7:10 and 10:30 with the peak at 8:50, has lunch, goes home after eight hours and
    /// a half; a few come back for half an hour in the evening.
    pub fn of_a_day(dice: &mut Dice) -> Self {
        let arrival = dice.around(8 * HOUR + 50 * MINUTE, 40 * MINUTE);
        let lunch = dice.between(11 * HOUR + 45 * MINUTE, 12 * HOUR + 45 * MINUTE);
        let back = lunch + dice.between(35 * MINUTE, 65 * MINUTE);
        let home = arrival + dice.around(9 * HOUR, 30 * MINUTE);
        let mut there = vec![(arrival, lunch), (back, home)];
        if dice.percent(5) {
            let evening = dice.between(20 * HOUR, 22 * HOUR);
            there.push((evening, evening + 30 * MINUTE));
        }
        Self { there }
    }

    pub fn arrival(&self) -> u64 {
        self.there[0].0
    }

    /// The first time from `time` on at which somebody is there, if they come again that day.
    fn next(&self, time: u64) -> Option<u64> {
        let period = self.there.iter().find(|(_, end)| time < *end)?;
        Some(time.max(period.0))
    }

    pub fn is_there(&self, time: u64) -> bool {
        let mut periods = self.there.iter();
        periods.any(|(from, until)| (*from..*until).contains(&time))
    }

    /// When the page after one at `time` is opened.
    pub fn next_page(&self, time: u64, mean: u64, dice: &mut Dice) -> Option<u64> {
        self.next(time + dice.pause(mean))
    }
}

/// What somebody asks for.
#[derive(Clone, Debug)]
pub struct Visit {
    pub path: String,
    pub method: &'static str,
    /// The repository; `None` if it is a page for all members.
    pub repository: Option<String>,
}

fn slug(number: u64) -> String {
    format!("r{number:03}")
}

/// The repositories of a person, each once: 17 and 400 have no divisor in common.
fn repositories_of(person: u64) -> impl Iterator<Item = u64> {
    (0..REPOSITORIES_OF_EACH).map(move |nth| (person * 7 + nth * 17) % REPOSITORIES)
}

impl Visit {
    /// A page of one's own repositories, and every now and then one that is not for them.
    pub fn of(person: u64, has_member_pages: bool, dice: &mut Dice) -> Self {
        if has_member_pages && dice.percent(30) {
            return Self {
                path: "/members/news".to_owned(),
                method: "GET",
                repository: None,
            };
        }
        let number = match dice.percent(95) {
            true => {
                let nth = dice.between(0, REPOSITORIES_OF_EACH);
                repositories_of(person).nth(nth as usize).unwrap()
            }
            false => dice.between(0, REPOSITORIES),
        };
        let method = match dice.between(0, 20) {
            0 => "POST",
            1 => "PUT",
            _ => "GET",
        };
        let repository = slug(number);
        Self {
            path: format!("/artifacts/acme/{repository}/page"),
            method,
            repository: Some(repository),
        }
    }

    /// What is loaded by a page: the same repository, mostly.
    pub fn part(&self, person: u64, has_member_pages: bool, dice: &mut Dice) -> Self {
        match dice.percent(80) {
            true => Self {
                method: "GET",
                ..self.clone()
            },
            false => Self::of(person, has_member_pages, dice),
        }
    }

    pub fn page(self) -> Self {
        Self {
            method: "GET",
            ..self
        }
    }

    /// What the permission must be.
    pub fn needs(&self) -> Permission {
        match self.method {
            "GET" => Permission::Read,
            _ => Permission::Write,
        }
    }
}

pub fn account_id(person: u64) -> String {
    format!("712020:{person:08x}-70ad-4c0d-8e1f-b17b0c4e7000")
}

/// So many people with accounts.
pub fn people(count: u64) -> Vec<Person> {
    let person = |number| Person {
        account_id: account_id(number),
        uuid: format!("{{{number:08x}-70ad-4222-8333-444444444444}}"),
        nickname: format!("person-{number}"),
        display_name: format!("Person {number}"),
        emails: vec![Email {
            email: format!("person-{number}@example.com"),
            is_primary: true,
            is_confirmed: true,
        }],
    };
    (0..count).map(person).collect()
}

/// All of them are members of `acme`, each with a permission on 20 of its 400 repositories.
pub fn settle(directory: &mut Directory, count: u64) {
    use Permission::{Admin, Read, Write};
    for number in 0..REPOSITORIES {
        let repository = Repository {
            uuid: format!("{{{number:08x}-4e90-4222-8333-444455556666}}"),
            slug: slug(number),
            project: "WID".to_owned(),
            is_private: true,
        };
        directory.add_repository("acme", repository).unwrap();
    }
    for person in 0..count {
        let account_id = account_id(person);
        let member = Some(Role::Member);
        directory.set_role("acme", &account_id, member).unwrap();
        for (nth, number) in repositories_of(person).enumerate() {
            let permission = [Write, Read, Write, Admin][nth % 4];
            directory
                .set_permission("acme", &slug(number), &account_id, Some(permission))
                .unwrap();
        }
    }
}
