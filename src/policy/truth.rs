//! A logic of four values.
//!
//! A fact may be unknown, since the provider has to be asked, and a condition may be void: the path
//! has no name of a workspace where one should be, say. Neither may become a `yes` by turning it around.

use crate::policy::Denial;

/// Whether a condition stands in a `not`, or in an odd number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turned {
    Around,
    Not,
}

impl Turned {
    pub(super) fn around(self) -> Self {
        match self {
            Self::Around => Self::Not,
            Self::Not => Self::Around,
        }
    }
}

/// What becomes of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It does not hold.
    No(Denial),
    /// Somebody has to be asked first.
    Unknown,
    /// It makes no sense here, so neither it nor its opposite holds.
    Void(Denial),
    /// It holds.
    Yes,
}

impl Truth {
    /// `Yes`, or why not.
    #[must_use]
    pub fn of(holds: bool, denial: Denial) -> Self {
        match holds {
            true => Self::Yes,
            false => Self::No(denial),
        }
    }

    /// Both. Of two denials the first counts.
    pub(super) fn and(self, other: Self, turned: Turned) -> Self {
        match (self, other) {
            // What needs no lookup comes first: the reason must not depend on what was asked before.
            (Self::No(first), Self::No(second))
                if first.is_looked_up() && !second.is_looked_up() =>
            {
                Self::No(second)
            }
            (Self::No(denial), _) | (_, Self::No(denial)) => Self::No(denial),
            // Turned around, the one would stay as it is, and the other may become a yes.
            (Self::Void(_), Self::Unknown) | (Self::Unknown, Self::Void(_))
                if turned == Turned::Around =>
            {
                Self::Unknown
            }
            (Self::Void(denial), _) | (_, Self::Void(denial)) => Self::Void(denial),
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }

    /// One of them. Two different denials have no common name, but that a condition is for another kind
    /// of principal is no news beside what the one for theirs says.
    pub(super) fn or(self, other: Self) -> Self {
        let both = |a: Denial, b: Denial| match (a, b) {
            (Denial::Principal, one) | (one, Denial::Principal) => one,
            (a, b) if a == b => a,
            (_, _) => Denial::NotAllowed,
        };
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Void(a), Self::Void(b) | Self::No(b)) | (Self::No(a), Self::Void(b)) => {
                Self::Void(both(a, b))
            }
            (Self::No(a), Self::No(b)) => Self::No(both(a, b)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{PipelineStep, Principal};
    use crate::policy::{Asked, Condition, Facts, Name, Origin, PathTemplate, Permission, Role};

    /// Groups are called after what is known of them.
    struct Known(Truth);

    impl Facts for Known {
        fn account_id(&self) -> Option<&str> {
            Some("a")
        }
        fn email(&self) -> Option<&str> {
            None
        }
        fn principal(&self) -> Principal {
            Principal::Person
        }
        fn issuer(&self) -> Option<(&str, Option<&str>)> {
            None
        }
        fn step(&self) -> Option<&PipelineStep> {
            None
        }
        fn is_called(&self, _: &PipelineStep, _: &str) -> Truth {
            Truth::Unknown
        }
        fn scope(&self, _: &str) -> Truth {
            Truth::Yes
        }
        fn group(&self, name: &str) -> Truth {
            match name {
                "yes" => Truth::Yes,
                "no" => Truth::No(Denial::Group),
                "void" => Truth::Void(Denial::Group),
                _ => self.0,
            }
        }
        fn role(&self, _: &Name, _: Origin, _: Role) -> Truth {
            Truth::Unknown
        }
        fn repository(&self, _: &Name, _: Origin, _: &Name, _: Permission) -> Truth {
            Truth::Unknown
        }
        fn project(&self, _: &Name, _: Origin, _: &str, _: Permission) -> Truth {
            Truth::Unknown
        }
    }

    fn evaluate(condition: &Condition, later: Truth) -> Truth {
        let template = PathTemplate::parse("/").unwrap();
        let asked = Asked {
            method: "GET",
            path: "/",
            template: &template,
        };
        condition.evaluate(asked, &Known(later))
    }

    /// All conditions of three groups, with up to three levels.
    fn conditions() -> Vec<Condition> {
        let groups = ["yes", "no", "void", "later"];
        let groups = groups.map(|name| Condition::Group(name.to_owned()));
        let mut all = groups.to_vec();
        for _ in 0..2 {
            let mut deeper = all.clone();
            for one in &all {
                deeper.push(Condition::Not(Box::new(one.clone())));
                for other in &groups {
                    for pair in [[one, other], [other, one]] {
                        deeper.push(Condition::AllOf(pair.map(Clone::clone).to_vec()));
                        deeper.push(Condition::AnyOf(pair.map(Clone::clone).to_vec()));
                    }
                }
            }
            all = deeper;
        }
        let around = all.iter().map(|one| Condition::Not(Box::new(one.clone())));
        let around: Vec<Condition> = around.collect();
        all.extend(around);
        all
    }

    /// What is decided before everything is known is what would be decided after that: a verdict does
    /// not depend on what somebody else has asked before.
    #[test]
    fn what_is_asked_later_changes_no_verdict() {
        let conditions = conditions();
        assert!(conditions.len() > 1_000);
        for condition in conditions {
            let early = evaluate(&condition, Truth::Unknown);
            let later = [
                Truth::Yes,
                Truth::No(Denial::Group),
                Truth::Void(Denial::Group),
            ];
            let mut later = later.map(|truth| evaluate(&condition, truth) == Truth::Yes);
            later.sort_unstable();
            match early {
                Truth::Unknown => {}
                Truth::Yes => assert_eq!(later, [true; 3], "{condition:?}"),
                Truth::No(_) | Truth::Void(_) => assert_eq!(later, [false; 3], "{condition:?}"),
            }
        }
    }

    #[test]
    fn what_is_void_stays_so() {
        let void = Condition::Group("void".to_owned());
        let not = Condition::Not(Box::new(void.clone()));
        for condition in [&void, &not] {
            let truth = evaluate(condition, Truth::Unknown);
            assert_eq!(truth, Truth::Void(Denial::Group));
        }
        let unknown = Condition::Group("later".to_owned());
        let both = Condition::AllOf(vec![void, unknown]);
        let void = Truth::Void(Denial::Group);
        assert_eq!(
            evaluate(&both, Truth::Unknown),
            void,
            "it is enough to refuse"
        );
        let not = Condition::Not(Box::new(both));
        assert_eq!(evaluate(&not, Truth::Unknown), Truth::Unknown);
    }

    #[test]
    fn a_denial_names_what_is_for_this_kind_of_principal() {
        use Denial::{Group, NotAllowed, Permission, Pipeline, Principal};
        for (a, b, expected) in [
            (
                Truth::Void(Principal),
                Truth::No(Pipeline),
                Truth::Void(Pipeline),
            ),
            (
                Truth::No(Permission),
                Truth::Void(Principal),
                Truth::Void(Permission),
            ),
            (
                Truth::No(Principal),
                Truth::No(Principal),
                Truth::No(Principal),
            ),
            (
                Truth::No(Group),
                Truth::No(Permission),
                Truth::No(NotAllowed),
            ),
        ] {
            assert_eq!(a.or(b), expected);
        }
    }
}
