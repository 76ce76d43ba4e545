//! Pipelines as an identity provider: each step has a token that says which step it is, and
//! anybody can check it. Bitbucket's own API takes none.

mod document;
mod key;
mod step;

pub use key::{SigningKey, hmac, unsigned};
pub use step::{Environment, Step};

use std::collections::BTreeSet;

use serde_json::Value;

use crate::bitbucket::{Bitbucket, Refused};

/// A key, and what it is used for.
#[derive(Clone, Debug)]
pub(super) struct Published {
    pub(super) key: SigningKey,
    /// Whether `keys.json` has it.
    pub(super) is_published: bool,
}

/// The keys, which all workspaces share: so that only claims tell the tokens of one from those of
/// another. Whether the original shares them is not known.
#[derive(Debug)]
pub(super) struct Pipelines {
    keys: Vec<Published>,
    /// The id of the key that signs.
    signs: String,
    /// How many keys there were in all.
    number: usize,
    /// How many tokens there were in all.
    steps: u64,
    /// UUIDs of the workspaces where a pipeline ran with OIDC.
    ran: BTreeSet<String>,
}

impl Default for Pipelines {
    fn default() -> Self {
        let mut pipelines = Self {
            keys: Vec::new(),
            signs: String::new(),
            number: 0,
            steps: 0,
            ran: BTreeSet::new(),
        };
        pipelines.signs = pipelines.add(true);
        pipelines
    }
}

impl Pipelines {
    fn add(&mut self, is_published: bool) -> String {
        self.number += 1;
        let kid = format!("sim-oidc-{}", self.number);
        self.keys.push(Published {
            key: SigningKey::numbered(self.number, &kid),
            is_published,
        });
        kid
    }

    fn find(&mut self, kid: &str) -> Option<&mut Published> {
        self.keys.iter_mut().find(|known| known.key.kid() == kid)
    }
}

/// Pipelines. Workspaces and repositories are named by slug or UUID.
impl Bitbucket {
    /// A step runs at `now` with `oidc: true`. Answers with the step's token, and from now on the
    /// workspace has discovery and keys.
    ///
    /// # Errors
    /// If there is no such workspace or repository.
    pub fn run_step(&mut self, now: u64, step: &Step) -> Result<String, Refused> {
        let claims = self.step_claims(now, step)?;
        Ok(self.sign_as_pipelines(&claims))
    }

    /// What the token of a step says, for a test that signs it otherwise.
    ///
    /// # Errors
    /// As [`Self::run_step`].
    pub fn step_claims(&mut self, now: u64, step: &Step) -> Result<Value, Refused> {
        self.set_pipelines_ran(&step.workspace, true)?;
        self.pipelines.steps += 1;
        let number = self.pipelines.steps;
        step.claims(now, number, &self.settings)
    }

    /// Signs any claims as Pipelines would.
    #[must_use]
    pub fn sign_as_pipelines(&self, claims: &Value) -> String {
        let key = self.pipelines_key();
        key.sign(&key.header(), claims)
    }

    /// The key that signs.
    #[must_use]
    pub fn pipelines_key(&self) -> SigningKey {
        let signs = self.pipelines_key_called(&self.pipelines.signs);
        signs.unwrap_or_else(SigningKey::foreign)
    }

    /// The key with an id.
    #[must_use]
    pub fn pipelines_key_called(&self, kid: &str) -> Option<SigningKey> {
        let mut keys = self.pipelines.keys.iter();
        let found = keys.find(|known| known.key.kid() == kid);
        found.map(|known| known.key.clone())
    }

    /// Whether a pipeline ran with OIDC: until then a workspace has neither discovery nor keys.
    ///
    /// # Errors
    /// If there is no such workspace.
    pub fn set_pipelines_ran(&mut self, workspace: &str, ran: bool) -> Result<(), Refused> {
        let known = self.settings.directory.workspace(workspace);
        let uuid = known.ok_or(Refused::Missing)?.uuid.clone();
        match ran {
            true => self.pipelines.ran.insert(uuid),
            false => self.pipelines.ran.remove(&uuid),
        };
        Ok(())
    }

    /// Adds a key and answers with its id. It signs nothing yet.
    pub fn add_pipelines_key(&mut self, is_published: bool) -> String {
        self.pipelines.add(is_published)
    }

    /// Lets a key sign from now on.
    ///
    /// # Errors
    /// If there is none with this id.
    pub fn use_pipelines_key(&mut self, kid: &str) -> Result<(), Refused> {
        self.pipelines.find(kid).ok_or(Refused::Missing)?;
        kid.clone_into(&mut self.pipelines.signs);
        Ok(())
    }

    /// Puts a key into `keys.json`, or takes it out.
    ///
    /// # Errors
    /// If there is none with this id.
    pub fn publish_pipelines_key(&mut self, kid: &str, publish: bool) -> Result<(), Refused> {
        let known = self.pipelines.find(kid).ok_or(Refused::Missing)?;
        known.is_published = publish;
        Ok(())
    }

    /// Replaces the key that signs. The old one stays published; the new one is at once.
    pub fn rotate_pipelines_keys(&mut self) -> String {
        let kid = self.pipelines.add(true);
        kid.clone_into(&mut self.pipelines.signs);
        kid
    }
}

#[cfg(test)]
mod tests;
