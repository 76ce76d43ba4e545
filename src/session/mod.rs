//! What the browser carries: a session, the grant that belongs to it, and logins on their way.
//!
//! There is no store. A session is two sealed values in cookies, and every instance that has the
//! keys can read them.

mod cache;
mod claims;
mod grant;
mod key_ring;
mod login;
mod returns;
mod sealed_box;
mod store;

pub use grant::Grant;
pub use key_ring::{KeyRing, SessionKey};
pub use login::{PendingLogin, PendingLogins};
pub use returns::Returns;
pub use store::{Absence, Lifetimes, NotIssued, SessionStore, SignedIn};

use crate::host::{NoRandomness, Random};
use crate::identity::Identity;
use crate::oauth::random_text;
use crate::time::UnixTime;

/// Every cookie of ours begins with this, in any case it is written in; none goes upstream.
pub const COOKIE_PREFIX: &str = "__Host-bitgate";

/// The cookie of the session token.
pub const SESSION_COOKIE: &str = "__Host-bitgate";

/// Clocks of two instances may differ by this many seconds.
const CLOCK_SKEW_SECONDS: u64 = 60;

/// What the session cookie says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// 128 random bits in base64url: names the session in logs, and binds the grant to it.
    pub id: String,
    /// Who signed in.
    pub identity: Identity,
    /// When they did.
    pub issued_at: UnixTime,
    /// The end that no use can move.
    pub expires_at: UnixTime,
    /// When the session was last seen in use, within a tenth of the idle timeout.
    pub seen_at: UnixTime,
}

impl Session {
    /// A fresh session id.
    ///
    /// # Errors
    /// [`NoRandomness`] of the host.
    pub fn generate_id(random: &mut dyn Random) -> Result<String, NoRandomness> {
        random_text::<16>(random)
    }
}
