//! The knobs, with the values of the original.

use crate::bitbucket::caller::Caller;
use crate::bitbucket::credential::{AccessToken, AccessTokenKind, ApiToken};
use crate::bitbucket::directory::Directory;

/// The UUID of a workspace of the demo.
const ACME: &str = "{77aa0000-1111-4222-8333-444455556666}";

/// Which of the two worlds: consumers are moved one by one since May 2026.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refresh tokens rotate, the answer says `scope`, tokens look like JWTs of 2,600 characters.
    Migrated,
    /// Refresh tokens stay, the answer says `scopes`, tokens are short and opaque.
    Legacy,
}

/// What becomes of a code challenge. Bitbucket Cloud does not document PKCE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pkce {
    /// As if it had not been sent.
    Ignored,
    /// RFC 7636: who sent a challenge must send the verifier.
    Verified,
}

/// An OAuth consumer of a workspace.
#[derive(Clone, Debug)]
pub struct Consumer {
    /// Its key.
    pub client_id: String,
    /// Its secret.
    pub client_secret: String,
    /// Its one callback URL.
    pub callback: String,
    /// The scopes that are ticked.
    pub scopes: Vec<String>,
    /// "This is a private consumer": may use client credentials.
    pub private: bool,
    /// The workspace that owns it, by slug or UUID: all that it sees as itself.
    pub workspace: String,
}

/// An e-mail address of a person.
#[derive(Clone, Debug)]
pub struct Email {
    /// The address.
    pub email: String,
    /// The one that the account is known by.
    pub is_primary: bool,
    /// Whether the person proved that it is theirs.
    pub is_confirmed: bool,
}

/// Somebody with an account.
#[derive(Clone, Debug)]
pub struct Person {
    /// Atlassian's id.
    pub account_id: String,
    /// Bitbucket's id, with its braces.
    pub uuid: String,
    /// What they call themselves.
    pub nickname: String,
    /// Their name.
    pub display_name: String,
    /// Their addresses.
    pub emails: Vec<Email>,
}

/// What somebody is told who is nothing in a workspace. Both were seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NonMember {
    /// 403.
    Forbidden,
    /// 404, as if there were no such workspace.
    NotFound,
}

/// How a list is cut into pages. Only `values`, `pagelen` and `next` are sure to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paging {
    /// With `page` and `size`.
    Counted,
    /// With `page`, without `size`.
    Numbered,
    /// With neither, and a `next` that nobody could make up.
    Opaque,
}

/// Everything that can be chosen.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which world.
    pub mode: Mode,
    /// Host and port in the place of bitbucket.org.
    pub web_host: String,
    /// Host and port in the place of api.bitbucket.org.
    pub api_host: String,
    /// Host and port where objects of LFS are.
    pub media_host: String,
    /// The consumers.
    pub consumers: Vec<Consumer>,
    /// The people.
    pub people: Vec<Person>,
    /// Who works where.
    pub directory: Directory,
    /// Tokens of workspaces, projects and repositories.
    pub access_tokens: Vec<AccessToken>,
    /// Tokens of people.
    pub api_tokens: Vec<ApiToken>,
    /// Calls to the API that a consumer, or an access token, may make in any 3,600 seconds. `None`
    /// and 0 are no limit.
    pub api_limit: Option<u64>,
    /// Calls without a credential in any 3,600 seconds, all of them together. The original counts
    /// by address.
    pub anonymous_limit: Option<u64>,
    /// Requests of git that a credential may make in any 3,600 seconds.
    pub git_limit: Option<u64>,
    /// The status that git gets for an app password.
    pub app_password_status: u16,
    /// The status that LFS gets without a credential. The original was seen to say 403.
    pub lfs_challenge: u16,
    /// Whether LFS takes OAuth tokens. It is not known of the original.
    pub lfs_takes_oauth: bool,
    /// Seconds in a `Retry-After` of a 429. The original was seen without one.
    pub retry_after: Option<u64>,
    /// What somebody is told who is nothing in a workspace.
    pub non_member: NonMember,
    /// How a list is cut into pages.
    pub paging: Paging,
    /// Whether the user of a row has an account id. Captured answers have one, the examples of the
    /// documentation have the UUID alone.
    pub row_account_ids: bool,
    /// Characters of each token; by default 2,600 migrated and 100 legacy.
    pub token_length: Option<usize>,
    /// Seconds that an access token lives.
    pub access_lifetime: u64,
    /// Seconds that a code lives.
    pub code_lifetime: u64,
    /// Seconds that an unused refresh token lives.
    pub refresh_lifetime: u64,
    /// Seconds that a used refresh token still works when they rotate.
    pub reuse_window: u64,
    /// Seconds that a client gets refusals after a reuse.
    pub lock_out: u64,
    /// What becomes of a code challenge.
    pub pkce: Pkce,
    /// Whether the authorization code grant gives a refresh token.
    pub refresh_tokens: bool,
    /// Milliseconds that the server waits before it answers.
    pub latency_ms: u64,
    /// Where the codes and tokens come from.
    pub seed: u64,
}

impl Settings {
    /// Scheme, host and port in the place of `https://api.bitbucket.org`.
    #[must_use]
    pub fn api_origin(&self) -> String {
        format!("http://{}", self.api_host)
    }

    pub(super) fn takes_lfs_of(&self, caller: Option<&Caller>) -> bool {
        let is_oauth = matches!(caller, Some(Caller::AppUser(_) | Caller::Person { .. }));
        self.lfs_takes_oauth || !is_oauth
    }

    /// Characters of a token.
    #[must_use]
    pub fn token_characters(&self) -> usize {
        self.token_length.unwrap_or(match self.mode {
            Mode::Migrated => 2_600,
            Mode::Legacy => 100,
        })
    }
}

impl Default for Settings {
    fn default() -> Self {
        let consumer = Consumer {
            client_id: "demo-consumer".to_owned(),
            client_secret: "demo-secret".to_owned(),
            callback: "http://localhost:10000/_bitgate/callback".to_owned(),
            scopes: ["account", "email", "repository"]
                .map(str::to_owned)
                .to_vec(),
            private: false,
            workspace: ACME.to_owned(),
        };
        let people = people();
        let mut ids = people.iter().map(|person| person.account_id.as_str());
        let ids = std::array::from_fn(|_| ids.next().unwrap_or_default());
        let directory = Directory::demo(ids);
        let api_tokens = people.first().map(api_token).into_iter().collect();
        Self {
            mode: Mode::Migrated,
            web_host: "127.0.0.1:10001".to_owned(),
            api_host: "127.0.0.1:10002".to_owned(),
            media_host: "127.0.0.1:10004".to_owned(),
            consumers: vec![consumer, private_consumer()],
            people,
            directory,
            access_tokens: vec![bot()],
            api_tokens,
            api_limit: Some(1_000),
            anonymous_limit: Some(60),
            git_limit: Some(60_000),
            app_password_status: 410,
            lfs_challenge: 401,
            lfs_takes_oauth: true,
            retry_after: None,
            non_member: NonMember::Forbidden,
            paging: Paging::Counted,
            row_account_ids: true,
            token_length: None,
            access_lifetime: 7_200,
            code_lifetime: 600,
            refresh_lifetime: 90 * 86_400,
            reuse_window: 600,
            lock_out: 0,
            pkce: Pkce::Verified,
            refresh_tokens: true,
            latency_ms: 0,
            seed: 1,
        }
    }
}

/// The bot of the demo, which administers `acme`.
fn bot() -> AccessToken {
    AccessToken {
        token: "ATCTT3xFfGN0-demo-workspace-token".to_owned(),
        kind: AccessTokenKind::Workspace,
        workspace: ACME.to_owned(),
        scopes: vec!["repository".to_owned(), "project".to_owned()],
        is_admin: true,
        expires_at: None,
        api_limit: None,
    }
}

/// The consumer of the demo that acts as itself.
fn private_consumer() -> Consumer {
    Consumer {
        client_id: "demo-bot".to_owned(),
        client_secret: "demo-bot-secret".to_owned(),
        callback: "http://localhost:10000/nowhere".to_owned(),
        scopes: ["account", "repository:write"].map(str::to_owned).to_vec(),
        private: true,
        workspace: ACME.to_owned(),
    }
}

/// What the first person of the demo uses git with.
fn api_token(person: &Person) -> ApiToken {
    let scopes = [
        "read:user:bitbucket",
        "read:workspace:bitbucket",
        "read:repository:bitbucket",
        "write:repository:bitbucket",
    ];
    ApiToken {
        token: "ATATT3xFfGF0-demo-api-token".to_owned(),
        account_id: person.account_id.clone(),
        scopes: scopes.map(str::to_owned).to_vec(),
        expires_at: None,
    }
}

fn people() -> Vec<Person> {
    let person = |number: u32, nickname: &str, display_name: &str, emails| Person {
        account_id: format!("557058:0000000{number}-ada0-4c0d-8e1f-b17b0c4e7000"),
        uuid: format!("{{0000000{number}-1111-4222-8333-444444444444}}"),
        nickname: nickname.to_owned(),
        display_name: display_name.to_owned(),
        emails,
    };
    let email = |email: &str, is_primary, is_confirmed| Email {
        email: email.to_owned(),
        is_primary,
        is_confirmed,
    };
    let adas = vec![
        email("countess@example.net", false, false),
        email("ada@example.com", true, true),
    ];
    let graces = vec![
        email("grace@example.com", true, false),
        email("hopper@example.net", false, true),
    ];
    vec![
        person(1, "ada", "Ada Lovelace", adas),
        person(2, "grace", "Grace Hopper", graces),
        person(3, "linus", "Linus Torvalds", Vec::new()),
    ]
}
