//! Who acts, in words of no provider.

use serde::{Deserialize, Serialize};

/// A person as the provider knows them. `account_id` is the only key: it is never reassigned.
/// Nicknames are neither unique nor stable, and an e-mail address can move to somebody else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The provider's stable id of the account: 1 to 128 visible ASCII characters.
    #[serde(rename = "sub")]
    pub account_id: String,
    /// The primary e-mail address, if the provider confirmed it; visible ASCII, at most 254.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// What the person calls themselves, for display; at most 64 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nickname: Option<String>,
}

/// The kind of whoever acts. Rules, headers and logs speak of principals only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Principal {
    /// A program with a credential of its own.
    Bot,
    /// Somebody who signed in.
    Person,
    /// A step of a pipeline.
    Pipeline,
}

impl Principal {
    /// The word for headers and logs.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bot => "bot",
            Self::Person => "person",
            Self::Pipeline => "pipeline",
        }
    }
}
