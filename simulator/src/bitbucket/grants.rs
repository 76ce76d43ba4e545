//! Codes and tokens: who has which, and what is still good. Each is found by its text at once,
//! however many there are.

use std::collections::HashMap;
use std::sync::Arc;

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
    subject: Arc<Subject>,
    expires_at: u64,
    revoked: bool,
}

#[derive(Debug)]
struct Refresh {
    subject: Arc<Subject>,
    family: u64,
    last_used_at: u64,
    rotated_at: Option<u64>,
    revoked: bool,
}

/// The texts of tokens, in the order in which they were given out.
#[derive(Debug, Default)]
struct Given {
    access: Vec<Arc<str>>,
    refresh: Vec<Arc<str>>,
}

/// How a refresh token is used.
#[derive(Debug)]
pub(super) enum Refreshed {
    Good {
        subject: Arc<Subject>,
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
    codes: HashMap<String, Code>,
    access: HashMap<Arc<str>, Access>,
    refresh: HashMap<Arc<str>, Refresh>,
    of_family: HashMap<u64, Given>,
    /// `None` is the consumers themselves.
    of_account: HashMap<Option<String>, Given>,
}

impl Grants {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            counter: 0,
            codes: HashMap::new(),
            access: HashMap::new(),
            refresh: HashMap::new(),
            of_family: HashMap::new(),
            of_account: HashMap::new(),
        }
    }

    /// Characters that nobody guesses but who knows the seed.
    pub(super) fn text(&mut self, length: usize) -> String {
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
        self.codes.insert(text.clone(), code);
        text
    }

    pub(super) fn code(&mut self, text: &str) -> Option<&mut Code> {
        self.codes.get_mut(text)
    }

    pub(super) fn new_family(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    pub(super) fn new_access(
        &mut self,
        subject: &Arc<Subject>,
        family: u64,
        expires_at: u64,
        (mode, length): (Mode, usize),
    ) -> Arc<str> {
        let token: Arc<str> = self.token(mode, length).into();
        for given in self.given(subject, family) {
            given.access.push(Arc::clone(&token));
        }
        let access = Access {
            subject: Arc::clone(subject),
            expires_at,
            revoked: false,
        };
        self.access.insert(Arc::clone(&token), access);
        token
    }

    pub(super) fn new_refresh(
        &mut self,
        subject: &Arc<Subject>,
        family: u64,
        now: u64,
        (mode, length): (Mode, usize),
    ) -> Arc<str> {
        let token: Arc<str> = self.token(mode, length).into();
        for given in self.given(subject, family) {
            given.refresh.push(Arc::clone(&token));
        }
        let refresh = Refresh {
            subject: Arc::clone(subject),
            family,
            last_used_at: now,
            rotated_at: None,
            revoked: false,
        };
        self.refresh.insert(Arc::clone(&token), refresh);
        token
    }

    fn given(&mut self, subject: &Subject, family: u64) -> [&mut Given; 2] {
        let account_id = subject.account_id.clone();
        [
            self.of_family.entry(family).or_default(),
            self.of_account.entry(account_id).or_default(),
        ]
    }

    /// Who a token is about, if it is good at `now`.
    pub(super) fn subject_of(&self, token: &str, now: u64) -> Option<&Arc<Subject>> {
        let access = self.access.get(token)?;
        let is_good = !access.revoked && now < access.expires_at;
        is_good.then_some(&access.subject)
    }

    /// Uses a refresh token; `rotates` takes it out of use after `window` seconds.
    pub(super) fn use_refresh(
        &mut self,
        token: &str,
        client_id: &str,
        now: u64,
        (rotates, window, lifetime): (bool, u64, u64),
    ) -> Refreshed {
        let found = self.refresh.get_mut(token);
        let theirs =
            |refresh: &&mut Refresh| refresh.subject.client_id == client_id && !refresh.revoked;
        let Some(refresh) = found.filter(theirs) else {
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
            subject: Arc::clone(&refresh.subject),
            family: refresh.family,
        }
    }

    pub(super) fn revoke_family(&mut self, family: u64) {
        if let Some(given) = self.of_family.get(&family) {
            revoke(given, &mut self.access, &mut self.refresh);
        }
    }

    pub(super) fn revoke_account(&mut self, account_id: &str) {
        if let Some(given) = self.of_account.get(&Some(account_id.to_owned())) {
            revoke(given, &mut self.access, &mut self.refresh);
        }
    }

    /// Lets one access token end at `at`. Whether there is one.
    pub(super) fn end_access_token(&mut self, token: &str, at: u64) -> bool {
        let found = self.access.get_mut(token);
        found.map(|access| access.expires_at = at).is_some()
    }

    pub(super) fn expire_access_tokens(&mut self) {
        for access in self.access.values_mut() {
            access.expires_at = 0;
        }
    }

    pub(super) fn access_tokens_of(&self, account_id: &str) -> Vec<String> {
        let given = self.of_account.get(&Some(account_id.to_owned()));
        let tokens = given.into_iter().flat_map(|given| &given.access);
        tokens.map(|token| token.as_ref().to_owned()).collect()
    }
}

fn revoke(
    given: &Given,
    access: &mut HashMap<Arc<str>, Access>,
    refresh: &mut HashMap<Arc<str>, Refresh>,
) {
    for token in &given.access {
        if let Some(access) = access.get_mut(token) {
            access.revoked = true;
        }
    }
    for token in &given.refresh {
        if let Some(refresh) = refresh.get_mut(token) {
            refresh.revoked = true;
        }
    }
}
