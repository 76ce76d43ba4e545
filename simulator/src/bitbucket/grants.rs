//! Codes and tokens: who has which, and what is still good.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use crate::bitbucket::settings::Mode;

/// An authorization code.
#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) client_id: String,
    pub(super) account_id: String,
    pub(super) redirect_uri: Option<String>,
    pub(super) challenge: Option<String>,
    pub(super) issued_at: u64,
    /// The family of tokens that it was used for.
    pub(super) used_for: Option<u64>,
}

/// What tokens are about.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    pub(super) client_id: String,
    /// `None` for the consumer itself.
    pub(super) account_id: Option<String>,
    pub(super) scopes: Vec<String>,
}

#[derive(Debug)]
struct Access {
    token: String,
    subject: Subject,
    family: u64,
    expires_at: u64,
    revoked: bool,
}

#[derive(Debug)]
struct Refresh {
    token: String,
    subject: Subject,
    family: u64,
    last_used_at: u64,
    rotated_at: Option<u64>,
    revoked: bool,
}

/// How a refresh token is used.
#[derive(Debug)]
pub(super) enum Refreshed {
    Good {
        subject: Subject,
        family: u64,
    },
    /// It was rotated away too long ago.
    Reused,
    Unknown,
}

#[derive(Debug)]
pub(super) struct Grants {
    seed: u64,
    counter: u64,
    codes: Vec<(String, Code)>,
    access: Vec<Access>,
    refresh: Vec<Refresh>,
}

impl Grants {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            counter: 0,
            codes: Vec::new(),
            access: Vec::new(),
            refresh: Vec::new(),
        }
    }

    /// Characters that nobody guesses but who knows the seed.
    fn text(&mut self, length: usize) -> String {
        self.counter += 1;
        let mut text = String::new();
        let mut block = 0_u64;
        while text.len() < length {
            let input = [self.seed, self.counter, block]
                .map(u64::to_be_bytes)
                .concat();
            text.push_str(&URL_SAFE_NO_PAD.encode(Sha256::digest(input)));
            block += 1;
        }
        text.truncate(length);
        text
    }

    /// A token: like a JWT where consumers are migrated, and never to be read as one.
    fn token(&mut self, mode: Mode, length: usize) -> String {
        let mut text = self.text(length);
        if mode == Mode::Migrated && length > 80 {
            text.replace_range(36..37, ".");
            text.replace_range(length - 43..length - 42, ".");
        }
        text
    }

    pub(super) fn new_code(&mut self, code: Code) -> String {
        let text = self.text(24);
        self.codes.push((text.clone(), code));
        text
    }

    pub(super) fn code(&mut self, text: &str) -> Option<&mut Code> {
        self.codes
            .iter_mut()
            .find(|(known, _)| known == text)
            .map(|(_, code)| code)
    }

    pub(super) fn new_family(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn new_access(
        &mut self,
        subject: &Subject,
        family: u64,
        expires_at: u64,
        (mode, length): (Mode, usize),
    ) -> String {
        let token = self.token(mode, length);
        let subject = subject.clone();
        self.access.push(Access {
            token: token.clone(),
            subject,
            family,
            expires_at,
            revoked: false,
        });
        token
    }

    pub(super) fn new_refresh(
        &mut self,
        subject: &Subject,
        family: u64,
        now: u64,
        (mode, length): (Mode, usize),
    ) -> String {
        let token = self.token(mode, length);
        self.refresh.push(Refresh {
            token: token.clone(),
            subject: subject.clone(),
            family,
            last_used_at: now,
            rotated_at: None,
            revoked: false,
        });
        token
    }

    /// Who a token is about, if it is good at `now`.
    pub(super) fn subject_of(&self, token: &str, now: u64) -> Option<&Subject> {
        let good =
            |access: &&Access| access.token == token && !access.revoked && now < access.expires_at;
        self.access.iter().find(good).map(|access| &access.subject)
    }

    /// Uses a refresh token; `rotates` takes it out of use after `window` seconds.
    pub(super) fn use_refresh(
        &mut self,
        token: &str,
        client_id: &str,
        now: u64,
        (rotates, window, lifetime): (bool, u64, u64),
    ) -> Refreshed {
        let found = self.refresh.iter_mut().find(|refresh| {
            refresh.token == token && refresh.subject.client_id == client_id && !refresh.revoked
        });
        let Some(refresh) = found else {
            return Refreshed::Unknown;
        };
        if now >= refresh.last_used_at + lifetime {
            return Refreshed::Unknown;
        }
        if refresh
            .rotated_at
            .is_some_and(|at| window == 0 || now >= at + window)
        {
            return Refreshed::Reused;
        }
        refresh.last_used_at = now;
        if rotates && refresh.rotated_at.is_none() {
            refresh.rotated_at = Some(now);
        }
        Refreshed::Good {
            subject: refresh.subject.clone(),
            family: refresh.family,
        }
    }

    pub(super) fn revoke_family(&mut self, family: u64) {
        self.access
            .iter_mut()
            .filter(|a| a.family == family)
            .for_each(|a| a.revoked = true);
        self.refresh
            .iter_mut()
            .filter(|r| r.family == family)
            .for_each(|r| r.revoked = true);
    }

    pub(super) fn revoke_account(&mut self, account_id: &str) {
        let is_theirs = |subject: &Subject| subject.account_id.as_deref() == Some(account_id);
        self.access
            .iter_mut()
            .filter(|a| is_theirs(&a.subject))
            .for_each(|a| a.revoked = true);
        self.refresh
            .iter_mut()
            .filter(|r| is_theirs(&r.subject))
            .for_each(|r| r.revoked = true);
    }

    pub(super) fn expire_access_tokens(&mut self) {
        self.access
            .iter_mut()
            .for_each(|access| access.expires_at = 0);
    }

    pub(super) fn access_tokens_of(&self, account_id: &str) -> Vec<String> {
        let theirs = self
            .access
            .iter()
            .filter(|access| access.subject.account_id.as_deref() == Some(account_id));
        theirs.map(|access| access.token.clone()).collect()
    }
}
