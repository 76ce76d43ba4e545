//! Credentials come and go.

use serde_json::{Value, json};

use super::{flag, list, number, text, texts};
use crate::bitbucket::{
    AccessToken, AccessTokenKind, ApiToken, Bitbucket, Consumer, Refused, Settings,
};

impl Bitbucket {
    pub(super) fn create_access_token(
        &mut self,
        now: u64,
        document: &Value,
    ) -> Result<Value, String> {
        let [workspace] = texts(document, ["workspace"])?;
        let directory = &self.settings.directory;
        let missing = || Refused::Missing.to_string();
        let known = directory.space(workspace).ok_or_else(missing)?;
        let (project, repository) = (text(document, "project")?, text(document, "repository")?);
        let kind = match (project, repository) {
            (None, None) => AccessTokenKind::Workspace,
            (Some(key), None) => {
                known.projects.get(&key).ok_or_else(missing)?;
                AccessTokenKind::Project(key)
            }
            (None, Some(name)) => {
                let repository = known.repository(&name).ok_or_else(missing)?;
                AccessTokenKind::Repository(repository.uuid.clone())
            }
            (Some(_), Some(_)) => return Err("expected a project or a repository".to_owned()),
        };
        let workspace = known.workspace.uuid.clone();
        let scopes = list(document, "scopes")?.ok_or("expected scopes")?;
        if scopes.iter().any(|scope| scope.starts_with("account")) {
            return Err("expected scopes that an access token can have".to_owned());
        }
        let token = AccessToken {
            token: self.token_text(document, "ATCT")?,
            kind,
            workspace,
            scopes,
            is_admin: flag(document, "is_admin")?.unwrap_or(false),
            expires_at: number(document, "lifetime")?.map(|lifetime| now + lifetime),
            api_limit: number(document, "api_limit")?,
        };
        let answer = json!({"token": token.token});
        self.settings.access_tokens.push(token);
        Ok(answer)
    }

    pub(super) fn create_api_token(&mut self, now: u64, document: &Value) -> Result<Value, String> {
        let [account_id] = texts(document, ["account_id"])?;
        let mut people = self.settings.people.iter();
        if !people.any(|person| person.account_id == account_id) {
            return Err("expected the account of somebody".to_owned());
        }
        let token = ApiToken {
            token: self.token_text(document, "ATAT")?,
            account_id: account_id.to_owned(),
            scopes: list(document, "scopes")?.ok_or("expected scopes")?,
            expires_at: number(document, "lifetime")?.map(|lifetime| now + lifetime),
        };
        let answer = json!({"token": token.token});
        self.settings.api_tokens.push(token);
        Ok(answer)
    }

    fn token_text(&mut self, document: &Value, prefix: &str) -> Result<String, String> {
        match text(document, "token")? {
            None => Ok(format!("{prefix}T3xFfGN0{}", self.grants.text(160))),
            Some(token) if token.starts_with(prefix) => Ok(token),
            Some(_) => Err(format!("expected a token that starts with {prefix}")),
        }
    }

    pub(super) fn create_consumer(&mut self, document: &Value) -> Result<Value, String> {
        let [client_id] = texts(document, ["client_id"])?;
        let consumers = &mut self.settings.consumers;
        let at = consumers.iter().position(|c| c.client_id == client_id);
        let known = at.map(|at| consumers.remove(at));
        let is_new = known.is_none();
        let mut consumer = known.unwrap_or_else(|| new_consumer(client_id));
        if let Some(secret) = text(document, "client_secret")? {
            consumer.client_secret = secret;
        } else if is_new {
            return Err("expected client_secret".to_owned());
        }
        let Consumer {
            callback,
            scopes,
            private,
            workspace,
            ..
        } = &mut consumer;
        *callback = text(document, "callback")?.unwrap_or_else(|| callback.clone());
        *scopes = list(document, "scopes")?.unwrap_or_else(|| scopes.clone());
        *private = flag(document, "private")?.unwrap_or(*private);
        *workspace = text(document, "workspace")?.unwrap_or_else(|| workspace.clone());
        self.settings.consumers.push(consumer);
        Ok(json!({}))
    }

    pub(super) fn limit_token(&mut self, now: u64, document: &Value) -> Result<Value, String> {
        let [token] = texts(document, ["token"])?;
        let lifetime = number(document, "lifetime")?.ok_or("expected lifetime")?;
        match self.expire_token(token, now + lifetime) {
            true => Ok(json!({})),
            false => Err("expected a token that there is".to_owned()),
        }
    }

    pub(super) fn delete_token(&mut self, document: &Value) -> Result<Value, String> {
        let [token] = texts(document, ["token"])?;
        match self.revoke_token(token) {
            true => Ok(json!({})),
            false => Err("expected a token that there is".to_owned()),
        }
    }

    /// Lets a token end at `at`: an access token, an API token, or one of OAuth. Whether there is
    /// one.
    pub fn expire_token(&mut self, token: &str, at: u64) -> bool {
        let Settings {
            access_tokens,
            api_tokens,
            ..
        } = &mut self.settings;
        let access_tokens = access_tokens.iter_mut();
        let access_tokens = access_tokens.map(|known| (&known.token, &mut known.expires_at));
        let api_tokens = api_tokens.iter_mut();
        let api_tokens = api_tokens.map(|known| (&known.token, &mut known.expires_at));
        for (text, expires_at) in access_tokens.chain(api_tokens) {
            if text == token {
                *expires_at = Some(at);
                return true;
            }
        }
        self.grants.end_access_token(token, at)
    }

    /// Takes a token back: an access token, an API token, or one of OAuth. Whether there was one.
    pub fn revoke_token(&mut self, token: &str) -> bool {
        let settings = &mut self.settings;
        let tokens = |settings: &Settings| settings.access_tokens.len() + settings.api_tokens.len();
        let before = tokens(settings);
        settings.access_tokens.retain(|known| known.token != token);
        settings.api_tokens.retain(|known| known.token != token);
        tokens(settings) < before || self.grants.end_access_token(token, 0)
    }
}

fn new_consumer(client_id: &str) -> Consumer {
    Consumer {
        client_id: client_id.to_owned(),
        client_secret: String::new(),
        // Bitbucket wants one even where nobody is sent there.
        callback: "http://localhost/unused".to_owned(),
        scopes: Vec::new(),
        private: true,
        workspace: "acme".to_owned(),
    }
}
