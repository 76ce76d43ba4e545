//! Pipelines as a test wants them: steps with their tokens, right ones and wrong ones, and keys.

use serde_json::{Map, Value, json};

use super::{flag, list, number, text, texts};
use crate::bitbucket::pipelines::{SigningKey, hmac, unsigned};
use crate::bitbucket::{Bitbucket, Environment, Refused, Step};

impl Bitbucket {
    pub(super) fn set_pipelines(&mut self, document: &Value) -> Result<Value, String> {
        let [workspace] = texts(document, ["workspace"])?;
        let ran = flag(document, "ran")?.ok_or("expected ran")?;
        done(self.set_pipelines_ran(workspace, ran))
    }

    pub(super) fn create_step_token(
        &mut self,
        now: u64,
        document: &Value,
    ) -> Result<Value, String> {
        let step = step(document)?;
        let signature = text(document, "signature")?;
        let mut claims = self
            .step_claims(now, &step)
            .map_err(|refused| refused.to_string())?;
        set_members(&mut claims, document, "claims")?;
        let key = match signature.as_deref() {
            None | Some("hmac" | "none") => self.pipelines_key(),
            Some("foreign") => SigningKey::foreign().called(self.pipelines_key().kid()),
            Some(kid) => self
                .pipelines_key_called(kid)
                .ok_or("expected the id of a key")?,
        };
        let mut header = key.header();
        match signature.as_deref() {
            Some("none") => header["alg"] = "none".into(),
            Some("hmac") => header["alg"] = "HS256".into(),
            None | Some(_) => {}
        }
        set_members(&mut header, document, "header")?;
        let token = match signature.as_deref() {
            Some("none") => unsigned(&header, &claims),
            Some("hmac") => hmac(key.public_pem().as_bytes(), &header, &claims),
            None | Some(_) => key.sign(&header, &claims),
        };
        Ok(json!({"token": token, "claims": claims}))
    }

    pub(super) fn create_key(&mut self, document: &Value) -> Result<Value, String> {
        let is_published = flag(document, "published")?.unwrap_or(true);
        let signs = flag(document, "signs")?.unwrap_or(false);
        let kid = self.add_pipelines_key(is_published);
        if signs {
            done(self.use_pipelines_key(&kid))?;
        }
        Ok(json!({"kid": kid}))
    }

    pub(super) fn change_key(&mut self, document: &Value) -> Result<Value, String> {
        let [kid] = texts(document, ["kid"])?;
        let (publish, signs) = (flag(document, "published")?, flag(document, "signs")?);
        if signs == Some(false) {
            return Err("expected another key to sign".to_owned());
        }
        if let Some(publish) = publish {
            done(self.publish_pipelines_key(kid, publish))?;
        }
        if signs == Some(true) {
            done(self.use_pipelines_key(kid))?;
        }
        Ok(json!({}))
    }
}

fn step(document: &Value) -> Result<Step, String> {
    let [workspace, repository] = texts(document, ["workspace", "repository"])?;
    let mut step = Step::of(workspace, repository, "");
    step.branch = text(document, "branch")?;
    step.deployment_environment = match document.get("deployment_environment") {
        None | Some(Value::Null) => None,
        Some(environment) => {
            let [name, uuid] = texts(environment, ["name", "uuid"])?;
            let (name, uuid) = (name.to_owned(), uuid.to_owned());
            Some(Environment { name, uuid })
        }
    };
    step.audiences = list(document, "audiences")?.unwrap_or_default();
    step.lifetime = number(document, "lifetime")?.unwrap_or(step.lifetime);
    step.iat_offset = offset(document, "iat")?.unwrap_or(0);
    step.nbf_offset = offset(document, "nbf")?;
    step.exp_offset = offset(document, "exp")?;
    Ok(step)
}

/// Seconds after now, or before it.
fn offset(document: &Value, name: &str) -> Result<Option<i64>, String> {
    match document.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_i64() {
            Some(seconds) => Ok(Some(seconds)),
            None => Err(format!("expected {name} to be a number")),
        },
    }
}

/// Sets members of `object`, or takes those out that are null.
fn set_members(object: &mut Value, document: &Value, name: &str) -> Result<(), String> {
    let none = Map::new();
    let changes = match document.get(name) {
        None | Some(Value::Null) => &none,
        Some(Value::Object(changes)) => changes,
        Some(_) => return Err(format!("expected {name} to be an object")),
    };
    let Some(members) = object.as_object_mut() else {
        return Ok(());
    };
    for (name, value) in changes {
        match value {
            Value::Null => members.remove(name),
            value => members.insert(name.clone(), value.clone()),
        };
    }
    Ok(())
}

fn done(made: Result<(), Refused>) -> Result<Value, String> {
    made.map(|()| json!({}))
        .map_err(|refused| refused.to_string())
}
