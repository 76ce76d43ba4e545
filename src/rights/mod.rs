//! Rights: facts that Bitbucket told us about somebody, how old they are, and who asks anew.
//!
//! ```text
//!            asked_at              + max_age                    + grace
//! answer ───────┼─────────────────────┼────────────────────────────┼──────────▶ time
//!               │  used as it is      │ asked anew before it is    │ of no use:
//!               │                     │ used; used as it is where  │ asked anew,
//!               │                     │ that is not possible       │ or 503
//! ```
//! An answer lies in data that all workers share, and in a bounded cache of each. One worker asks for
//! all: it holds a lease. The budget says who may ask at all.

mod answer;
mod budget;
mod cache;
mod collect;
mod pins;
mod record;
mod store;

pub use answer::{Answer, Question, Row};
pub use budget::{Budget, Priority, Spent};
pub use collect::{Asker, Collected, Failure};
pub use pins::{Pin, Pins};
pub use record::{Lease, Spot};
pub use store::{Asking, Known, Refused, Rights, Terms};
