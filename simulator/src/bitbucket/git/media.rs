//! Where objects of LFS are: another host, with a header of its own that is good for one object.

use sha2::{Digest, Sha256};

use crate::Request;
use crate::bitbucket::credential::{Authorization, CredentialKind};
use crate::bitbucket::ledger::Entry;
use crate::bitbucket::{Bitbucket, Settings};

/// Makes what opens an object, and knows it again.
#[derive(Clone, Debug)]
pub(crate) struct Media {
    host: String,
    seed: u64,
}

impl Media {
    pub(super) fn of(settings: &Settings) -> Self {
        Self {
            host: settings.media_host.clone(),
            seed: settings.seed,
        }
    }

    /// Where an object is. `repository` is a UUID without its braces.
    pub(crate) fn href(&self, repository: &str, oid: &str) -> String {
        format!("http://{}{PREFIX}{repository}/{oid}", self.host)
    }

    /// The value of the `Authorization` field that goes with it.
    pub(crate) fn authorization(&self, repository: &str, oid: &str) -> String {
        let text = format!("{} {repository} {oid}", self.seed);
        let digest = Sha256::digest(text.as_bytes());
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("Bearer media-{hex}")
    }
}

const PREFIX: &str = "/_media/";

/// A request for an object that came with what opens it.
#[derive(Debug)]
pub(crate) struct MediaRequest {
    pub(crate) repository: String,
    pub(crate) oid: String,
    /// Whether it only asks whether it is there.
    pub(crate) is_verify: bool,
    pub(crate) entry: Entry,
}

impl MediaRequest {
    pub(crate) fn is_path(path: &str) -> bool {
        path.starts_with(PREFIX)
    }
}

impl Bitbucket {
    /// Opens an object, or says with which status it does not. The body is not looked at.
    pub(crate) fn media(&mut self, now: u64, request: &Request) -> Result<MediaRequest, u16> {
        let mut entry = Entry::of(now, request);
        let path = request.uri().path().strip_prefix(PREFIX);
        let mut parts = path.unwrap_or_default().split('/');
        let (repository, oid) = (parts.next().unwrap_or_default(), parts.next());
        let oid = oid.unwrap_or_default();
        let rest: Vec<&str> = parts.collect();
        let is_known = is_oid(oid) && matches!(rest.as_slice(), [] | ["verify"]);
        let media = Media::of(&self.settings);
        let expected = media.authorization(repository, oid);
        let status = match Authorization::read(request.headers()) {
            _ if !is_known => 404,
            Authorization::Bearer(token) if expected == format!("Bearer {token}") => {
                entry.credential = CredentialKind::Media;
                return Ok(MediaRequest {
                    repository: repository.to_owned(),
                    oid: oid.to_owned(),
                    is_verify: !rest.is_empty(),
                    entry,
                });
            }
            // Nothing else is good here, and least of all a token of Bitbucket.
            _ => 403,
        };
        self.record(entry, status);
        Err(status)
    }
}

/// A SHA-256 in small hexadecimal digits: the name of an object, and of its file.
pub(crate) fn is_oid(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
