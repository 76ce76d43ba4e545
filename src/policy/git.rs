//! What git asks for. A fetch and a push begin at one path and differ in the query, which rules do not
//! see otherwise: it is read here, in one exact form, so that nobody reads it in another way.

use crate::http::RequestTarget;

/// What a request of git is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GitUse {
    /// LFS: which objects are where, and who has locked what. Whether it reads or writes stands in the body.
    Lfs,
    /// Clone and fetch: `git-upload-pack`.
    Read,
    /// Push: `git-receive-pack`.
    Write,
}

impl GitUse {
    /// Every one with its name in the configuration.
    pub const WORDS: [(&str, Self); 3] = [
        ("lfs", Self::Lfs),
        ("read", Self::Read),
        ("write", Self::Write),
    ];

    /// Its name in the configuration.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let found = Self::WORDS.iter().find(|(_, known)| *known == self);
        found.map_or("", |(word, _)| word)
    }

    /// What the request is for. `None` if it is none of git's, or could be read in two ways: with another query
    /// than git's own, and for the files that git read one by one before 2010.
    #[must_use]
    pub fn of(method: &str, target: &RequestTarget) -> Option<Self> {
        let (path, query) = (target.path(), target.query());
        let ends = |suffixes: &[&str]| suffixes.iter().any(|suffix| path.ends_with(suffix));
        match (method, query) {
            ("GET", Some("service=git-upload-pack")) if ends(&[REFS]) => Some(Self::Read),
            ("GET", Some("service=git-receive-pack")) if ends(&[REFS]) => Some(Self::Write),
            ("POST", None) if ends(&[UPLOAD_PACK]) => Some(Self::Read),
            ("POST", None) if ends(&[RECEIVE_PACK]) => Some(Self::Write),
            // The query is what it looks for.
            ("GET", _) if ends(&[LOCKS]) => Some(Self::Lfs),
            ("POST", None) if ends(&[BATCH, LOCKS, VERIFY, UNLOCK]) => Some(Self::Lfs),
            _ => None,
        }
    }

    /// The templates of its requests, for a repository with this one.
    pub fn paths(self, repository: &str) -> impl Iterator<Item = String> + use<'_> {
        let repository = repository.strip_suffix(".git").unwrap_or(repository);
        let suffixes: &[&str] = match self {
            Self::Lfs => &[BATCH, LOCKS, VERIFY, "/info/lfs/locks/{lfs_lock}/unlock"],
            Self::Read => &[REFS, UPLOAD_PACK],
            Self::Write => &[REFS, RECEIVE_PACK],
        };
        // With ".git" first: a capture has the name without it.
        [".git", ""].into_iter().flat_map(move |end| {
            let of = move |suffix: &&str| format!("{repository}{end}{suffix}");
            suffixes.iter().map(of)
        })
    }
}

const REFS: &str = "/info/refs";
const UPLOAD_PACK: &str = "/git-upload-pack";
const RECEIVE_PACK: &str = "/git-receive-pack";
const BATCH: &str = "/info/lfs/objects/batch";
const LOCKS: &str = "/info/lfs/locks";
const VERIFY: &str = "/info/lfs/locks/verify";
const UNLOCK: &str = "/unlock";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_git_itself_sends_is_read_or_write() {
        use GitUse::{Lfs, Read, Write};
        for (method, target, expected) in [
            (
                "GET",
                "/a/b.git/info/refs?service=git-upload-pack",
                Some(Read),
            ),
            (
                "GET",
                "/a/b.git/info/refs?service=git-receive-pack",
                Some(Write),
            ),
            (
                "GET",
                "/a/b/info/refs?service=git-receive-pack",
                Some(Write),
            ),
            ("POST", "/a/b.git/git-upload-pack", Some(Read)),
            ("POST", "/a/b.git/git-receive-pack", Some(Write)),
            ("POST", "/a/b.git/info/lfs/objects/batch", Some(Lfs)),
            ("GET", "/a/b.git/info/lfs/locks?limit=100", Some(Lfs)),
            ("POST", "/a/b.git/info/lfs/locks", Some(Lfs)),
            ("POST", "/a/b.git/info/lfs/locks/verify", Some(Lfs)),
            ("POST", "/a/b.git/info/lfs/locks/1/unlock", Some(Lfs)),
            // Files one by one.
            ("GET", "/a/b.git/info/refs", None),
            ("GET", "/a/b.git/info/refs?", None),
            ("GET", "/a/b.git/HEAD", None),
            ("GET", "/a/b.git/objects/info/packs", None),
            // What one server reads as a fetch and another as a push.
            (
                "GET",
                "/a/b.git/info/refs?service=git-upload-pack&service=git-receive-pack",
                None,
            ),
            (
                "GET",
                "/a/b.git/info/refs?service=git-receive-pack&service=git-upload-pack",
                None,
            ),
            (
                "GET",
                "/a/b.git/info/refs?service=git-upload-pack;service=git-receive-pack",
                None,
            ),
            (
                "GET",
                "/a/b.git/info/refs?service=git-upload-pack&x=y",
                None,
            ),
            (
                "GET",
                "/a/b.git/info/refs?x=y&service=git-upload-pack",
                None,
            ),
            ("GET", "/a/b.git/info/refs?service=git-upload-pack&", None),
            ("GET", "/a/b.git/info/refs?&service=git-upload-pack", None),
            ("GET", "/a/b.git/info/refs?service=git%2dupload-pack", None),
            ("GET", "/a/b.git/info/refs?%73ervice=git-upload-pack", None),
            ("GET", "/a/b.git/info/refs?service=git-upload-pack%20", None),
            ("GET", "/a/b.git/info/refs?service[]=git-upload-pack", None),
            ("GET", "/a/b.git/info/refs?Service=git-upload-pack", None),
            ("GET", "/a/b.git/info/refs?service=Git-Upload-Pack", None),
            ("GET", "/a/b.git/info/refs?service=git-upload-archive", None),
            ("GET", "/a/b.git/info/refs?service=", None),
            (
                "POST",
                "/a/b.git/git-upload-pack?service=git-receive-pack",
                None,
            ),
            ("POST", "/a/b.git/git-receive-pack?", None),
            ("POST", "/a/b.git/info/lfs/objects/batch?x=y", None),
            ("POST", "/a/b.git/info/lfs/locks?", None),
            ("POST", "/a/b.git/info/lfs/locks/verify?x", None),
            // Other methods.
            ("HEAD", "/a/b.git/info/refs?service=git-upload-pack", None),
            ("POST", "/a/b.git/info/refs?service=git-upload-pack", None),
            ("get", "/a/b.git/info/refs?service=git-upload-pack", None),
            ("GET", "/a/b.git/git-upload-pack", None),
            ("PUT", "/a/b.git/git-receive-pack", None),
            ("GET", "/a/b.git/info/lfs/objects/batch", None),
            ("DELETE", "/a/b.git/info/lfs/locks", None),
            // Other paths.
            ("POST", "/a/b.git/git-upload-archive", None),
            ("POST", "/a/b.git/git-upload-pack/", None),
            ("GET", "/a/b.git/info/refs/?service=git-upload-pack", None),
            ("GET", "/a/b.git/xinfo/refs?service=git-upload-pack", None),
            ("GET", "/?service=git-upload-pack", None),
        ] {
            let read = RequestTarget::parse(target.as_bytes()).unwrap();
            assert_eq!(GitUse::of(method, &read), expected, "{method} {target}");
        }
    }

    #[test]
    fn a_repository_has_its_paths_with_git_at_the_end_and_without() {
        for repository in ["/{w}/{r}", "/{w}/{r}.git"] {
            let paths: Vec<_> = GitUse::Write.paths(repository).collect();
            let expected = [
                "/{w}/{r}.git/info/refs",
                "/{w}/{r}.git/git-receive-pack",
                "/{w}/{r}/info/refs",
                "/{w}/{r}/git-receive-pack",
            ];
            assert_eq!(paths, expected);
        }
        assert_eq!(GitUse::Lfs.paths("/a/b").count(), 8);
    }
}
