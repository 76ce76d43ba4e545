//! OAuth 2.0 (RFC 6749), PKCE (RFC 7636) and bearer tokens (RFC 6750), as if no provider existed.

mod authorization;
mod pkce;
mod token;

pub use authorization::{
    AuthorizationRequest, AuthorizationResponse, InvalidAuthorizationResponse,
};
pub use pkce::CodeVerifier;
pub use token::{
    ClientCredentials, InvalidTokenResponse, TokenRequest, TokenResponse, bearer_authorization,
    bearer_parts,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::host::{NoRandomness, Random};
use crate::secret::secret_type;

secret_type! {
    /// The credential that a client presents to the provider's API (RFC 6749 section 1.4). Opaque:
    /// never parsed, of any length.
    AccessToken,
    /// The one-time code of the authorization response (RFC 6749 section 1.3.1).
    AuthorizationCode,
    /// The client's password at the provider (RFC 6749 section 2.3.1).
    ClientSecret,
    /// The credential for a new access token (RFC 6749 section 1.5).
    RefreshToken,
    /// The value that ties an authorization response to the browser that asked for it (RFC 6749
    /// section 10.12).
    State,
}

/// `N` random bytes in base64url without padding.
pub(crate) fn random_text<const N: usize>(random: &mut dyn Random) -> Result<String, NoRandomness> {
    let mut bytes = [0_u8; N];
    random.fill(&mut bytes)?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}

impl State {
    /// How many characters of the state name its login cookie.
    const ID_CHARS: usize = 8;

    /// A fresh state of 144 random bits: 24 characters of base64url. It says nothing, neither the
    /// return address nor who asked.
    ///
    /// # Errors
    /// [`NoRandomness`] of the host.
    pub fn generate(random: &mut dyn Random) -> Result<Self, NoRandomness> {
        Ok(Self::new(random_text::<18>(random)?))
    }

    /// The first characters, which name the pending login; `None` if this cannot be a state of
    /// ours.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        let text = self.expose();
        let ours = text.len() == 24
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
        text.get(..Self::ID_CHARS).filter(|_| ours)
    }
}
