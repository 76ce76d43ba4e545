//! `/site/oauth2/access_token` (RFC 6749 sections 4.1.3, 4.4 and 6), with Bitbucket's own errors:
//! `unauthorized_client` where the RFC says `invalid_client`, and always 400.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::bitbucket::Bitbucket;
use crate::bitbucket::credential::CredentialKind;
use crate::bitbucket::grants::{Refreshed, Subject};
use crate::bitbucket::ledger::Entry;
use crate::bitbucket::parameters::Parameters;
use crate::bitbucket::settings::{Consumer, Mode, Pkce};
use crate::{Request, Response, header, json, response};

impl Bitbucket {
    pub(super) fn token(&mut self, now: u64, request: &Request, entry: &mut Entry) -> Response {
        if *request.method() != http::Method::POST {
            return response(405, "text/html", "<h1>Method not allowed</h1>");
        }
        entry.credential = CredentialKind::None;
        let Some((id, secret)) = basic(request) else {
            let text = "Requests must be authenticated using OAuth client credentials";
            return refuse("unauthorized_client", text);
        };
        entry.client_id = Some(id.clone());
        entry.credential = CredentialKind::Consumer;
        // It is the consumer's key once more.
        entry.user = None;
        let consumer = self
            .settings
            .consumers
            .iter()
            .find(|c| c.client_id == id && c.client_secret == secret);
        let Some(consumer) = consumer.cloned() else {
            return refuse("unauthorized_client", "Invalid OAuth client credentials");
        };
        if consumer.callback.is_empty() {
            let text = "No callback uri defined for the OAuth client.";
            return refuse("invalid_request", text);
        }
        let media_type = header(request, "content-type").unwrap_or_default();
        if media_type.split(';').next() != Some("application/x-www-form-urlencoded") {
            return refuse("invalid_grant", "Unsupported grant type: None");
        }
        let Ok(form) = Parameters::read(request.body()) else {
            return refuse("invalid_request", "A parameter is there twice");
        };
        if form.get("client_secret").is_some() {
            return refuse(
                "invalid_request",
                "Client credentials belong into the header",
            );
        }
        if self.grants_locked(now, &consumer) {
            return refuse("unauthorized_client", "Invalid OAuth client credentials");
        }
        entry.grant_type = form.get("grant_type").map(str::to_owned);
        match form.get("grant_type") {
            Some("authorization_code") => self.exchange(now, &consumer, &form, entry),
            Some("refresh_token") => self.refresh(now, &consumer, &form, entry),
            Some("client_credentials") => self.client_credentials(now, &consumer),
            other => {
                let name = other.unwrap_or("None");
                refuse("invalid_grant", &format!("Unsupported grant type: {name}"))
            }
        }
    }

    fn grants_locked(&self, now: u64, consumer: &Consumer) -> bool {
        self.ledger.locked_until(&consumer.client_id) > now
    }

    fn exchange(
        &mut self,
        now: u64,
        consumer: &Consumer,
        form: &Parameters,
        entry: &mut Entry,
    ) -> Response {
        let (lifetime, pkce) = (self.settings.code_lifetime, self.settings.pkce);
        let text = form.get("code").unwrap_or_default().to_owned();
        let family = self.grants.new_family();
        let Some(code) = self.grants.code(&text) else {
            return refuse("invalid_grant", "The specified code is not valid.");
        };
        if let Some(family) = code.used_for {
            // RFC 6749 section 4.1.2: what a code was used for ends when it is used again.
            self.grants.revoke_family(family);
            return refuse("invalid_grant", "The specified code is not valid.");
        }
        let verifier = form.get("code_verifier").map(challenge_of);
        let verified =
            pkce == Pkce::Ignored || code.challenge.is_none() || code.challenge == verifier;
        let good = code.client_id == consumer.client_id
            && now < code.issued_at + lifetime
            && code.redirect_uri.as_deref() == form.get("redirect_uri")
            && verified;
        if !good {
            return refuse("invalid_grant", "The specified code is not valid.");
        }
        code.used_for = Some(family);
        entry.account_id = Some(code.account_id.clone());
        let subject = Arc::new(Subject {
            client_id: consumer.client_id.clone(),
            account_id: Some(code.account_id.clone()),
            scopes: consumer.scopes.clone(),
        });
        let refresh = self
            .grants
            .new_refresh(&subject, family, now, self.form_of_tokens());
        let refresh = Some(refresh.as_ref()).filter(|_| self.settings.refresh_tokens);
        self.granted(now, &subject, family, "authorization_code", refresh)
    }

    fn refresh(
        &mut self,
        now: u64,
        consumer: &Consumer,
        form: &Parameters,
        entry: &mut Entry,
    ) -> Response {
        let token = form.get("refresh_token").unwrap_or_default().to_owned();
        let digest = URL_SAFE_NO_PAD.encode(Sha256::digest(token.as_bytes()));
        entry.refresh_token = digest.get(..12).map(str::to_owned);
        let settings = &self.settings;
        let rotates = settings.mode == Mode::Migrated;
        let times = (rotates, settings.reuse_window, settings.refresh_lifetime);
        match self
            .grants
            .use_refresh(&token, &consumer.client_id, now, times)
        {
            Refreshed::Good { subject, family } => {
                entry.account_id.clone_from(&subject.account_id);
                let next = match rotates {
                    true => self
                        .grants
                        .new_refresh(&subject, family, now, self.form_of_tokens()),
                    false => token.into(),
                };
                self.granted(now, &subject, family, "refresh_token", Some(&next))
            }
            Refreshed::Reused => {
                self.ledger
                    .lock(&consumer.client_id, now + self.settings.lock_out);
                refuse("unauthorized_client", "Invalid OAuth client credentials")
            }
            Refreshed::Unknown => refuse("invalid_request", "Invalid refresh_token"),
        }
    }

    fn client_credentials(&mut self, now: u64, consumer: &Consumer) -> Response {
        if !consumer.private {
            let text = "Cannot use client_credentials with a consumer marked as \"public\". \
                        Calls for auto generated consumers should use urn:bitbucket:oauth2:jwt instead.";
            return refuse("unauthorized_client", text);
        }
        let subject = Arc::new(Subject {
            client_id: consumer.client_id.clone(),
            account_id: None,
            scopes: consumer.scopes.clone(),
        });
        let family = self.grants.new_family();
        self.granted(now, &subject, family, "client_credentials", None)
    }

    fn form_of_tokens(&self) -> (Mode, usize) {
        (self.settings.mode, self.settings.token_characters())
    }

    fn granted(
        &mut self,
        now: u64,
        subject: &Arc<Subject>,
        family: u64,
        grant_type: &str,
        refresh: Option<&str>,
    ) -> Response {
        let (lifetime, form) = (self.settings.access_lifetime, self.form_of_tokens());
        let access = self
            .grants
            .new_access(subject, family, now + lifetime, form);
        let scopes = subject.scopes.join(" ");
        let mut document = match self.settings.mode {
            Mode::Migrated => json!({"scope": scopes, "token_type": "Bearer"}),
            // "state" is the grant type's name, and not the client's state.
            Mode::Legacy => json!({"scopes": scopes, "token_type": "bearer", "state": grant_type}),
        };
        document["access_token"] = access.as_ref().into();
        document["expires_in"] = lifetime.into();
        if let Some(refresh) = refresh {
            document["refresh_token"] = refresh.into();
        }
        let mut answer = json(200, &document);
        answer
            .headers_mut()
            .insert("cache-control", http::HeaderValue::from_static("no-store"));
        answer
    }
}

/// RFC 7636 section 4.2.
fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
}

/// RFC 6749 section 2.3.1: both parts are form-encoded before they are put together.
fn basic(request: &Request) -> Option<(String, String)> {
    let encoded = header(request, "authorization")?.strip_prefix("Basic ")?;
    let pair = String::from_utf8(STANDARD.decode(encoded).ok()?).ok()?;
    let (id, secret) = pair.split_once(':')?;
    let decode = |text: &str| {
        let mut pairs = form_urlencoded::parse(text.as_bytes());
        pairs.next().map(|(name, _)| name.into_owned())
    };
    Some((decode(id)?, decode(secret)?))
}

fn refuse(error: &str, description: &str) -> Response {
    json(
        400,
        &json!({"error": error, "error_description": description}),
    )
}
