//! What anybody may read of Pipelines: discovery and keys. The shapes are those of OpenID Connect
//! Discovery 1.0 section 3 and RFC 7517 section 5.

use serde_json::{Value, json};

use super::SigningKey;
use crate::bitbucket::Bitbucket;

impl Bitbucket {
    /// The issuer of a workspace. It has the slug, and changes with it.
    #[must_use]
    pub fn pipelines_issuer(&self, workspace: &str) -> String {
        let known = self.settings.directory.workspace(workspace);
        let slug = known.map_or(workspace, |known| &known.slug);
        issuer(&self.settings.api_origin(), slug)
    }

    pub(in crate::bitbucket) fn oidc_discovery(&self, workspace: &str) -> Option<Value> {
        self.has_oidc(workspace)?;
        let issuer = self.pipelines_issuer(workspace);
        Some(json!({
            "issuer": issuer,
            "jwks_uri": format!("{issuer}/keys.json"),
            "subject_types_supported": ["public"],
            "response_types_supported": ["id_token"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "claims_supported": ["sub", "iss", "aud", "exp", "iat"],
        }))
    }

    pub(in crate::bitbucket) fn oidc_keys(&self, workspace: &str) -> Option<Value> {
        self.has_oidc(workspace)?;
        let keys = self.pipelines.keys.iter();
        let keys = keys.filter(|known| known.is_published);
        let keys: Vec<Value> = keys.map(|known| known.key.jwk()).collect();
        Some(json!({"keys": keys}))
    }

    /// All keys, for who controls the simulator.
    pub(in crate::bitbucket) fn keys_to_json(&self) -> Value {
        let keys = self.pipelines.keys.iter();
        keys.map(|known| {
            json!({
                "kid": known.key.kid(),
                "published": known.is_published,
                "signs": known.key.kid() == self.pipelines.signs,
            })
        })
        .collect()
    }

    fn has_oidc(&self, workspace: &str) -> Option<()> {
        let known = self.settings.directory.workspace(workspace)?;
        self.pipelines.ran.contains(&known.uuid).then_some(())
    }
}

pub(super) fn issuer(api_origin: &str, slug: &str) -> String {
    format!("{api_origin}/2.0/workspaces/{slug}/pipelines-config/identity/oidc")
}

impl SigningKey {
    /// The header of a token that it signs.
    #[must_use]
    pub fn header(&self) -> Value {
        json!({"alg": "RS256", "typ": "JWT", "kid": self.kid()})
    }
}
