//! Which of git's resources a path is.

use http::Method;

use crate::bitbucket::api::decode;

/// A resource of a repository. `workspace` and `repository` are slugs or UUIDs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GitPath {
    pub(super) workspace: String,
    pub(super) repository: String,
    pub(crate) resource: Resource,
}

/// What it is of the repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// What git asked for before 2010: files as they lie in the repository.
    Dumb,
    LfsBatch,
    LfsLocks,
    LfsLocksVerify,
    /// Anything else of LFS.
    LfsUnknown,
    /// `git-receive-pack`: a push.
    ReceivePack,
    /// `info/refs`: with what a fetch or a push begins.
    Refs,
    /// `git-upload-pack`: a fetch.
    UploadPack,
}

impl GitPath {
    /// Reads a path as it was sent, with `.git` or without. A segment is decoded once.
    pub(crate) fn read(path: &str) -> Option<Self> {
        let segments: Option<Vec<String>> = path.split('/').skip(1).map(decode).collect();
        let segments = segments?;
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        let [workspace, repository, rest @ ..] = segments.as_slice() else {
            return None;
        };
        let resource = match rest {
            ["info", "refs"] => Resource::Refs,
            ["git-upload-pack"] => Resource::UploadPack,
            ["git-receive-pack"] => Resource::ReceivePack,
            ["info", "lfs", "objects", "batch"] => Resource::LfsBatch,
            ["info", "lfs", "locks"] => Resource::LfsLocks,
            ["info", "lfs", "locks", "verify"] => Resource::LfsLocksVerify,
            ["info", "lfs", ..] => Resource::LfsUnknown,
            ["HEAD" | "git-upload-archive"] | ["info" | "objects", ..] => Resource::Dumb,
            _ => return None,
        };
        let repository = repository.strip_suffix(".git").unwrap_or(repository);
        Some(Self {
            workspace: (*workspace).to_owned(),
            repository: repository.to_owned(),
            resource,
        })
    }
}

impl Resource {
    /// The path with names in the place of values.
    pub(in crate::bitbucket) fn kind(self) -> &'static str {
        match self {
            Self::Dumb => "/{workspace}/{repository}.git/{file}",
            Self::LfsBatch => "/{workspace}/{repository}.git/info/lfs/objects/batch",
            Self::LfsLocks => "/{workspace}/{repository}.git/info/lfs/locks",
            Self::LfsLocksVerify => "/{workspace}/{repository}.git/info/lfs/locks/verify",
            Self::LfsUnknown => "/{workspace}/{repository}.git/info/lfs/{unknown}",
            Self::ReceivePack => "/{workspace}/{repository}.git/git-receive-pack",
            Self::Refs => "/{workspace}/{repository}.git/info/refs",
            Self::UploadPack => "/{workspace}/{repository}.git/git-upload-pack",
        }
    }

    pub(crate) fn is_lfs(self) -> bool {
        matches!(
            self,
            Self::LfsBatch | Self::LfsLocks | Self::LfsLocksVerify | Self::LfsUnknown
        )
    }

    /// Whether it can be asked for so.
    pub(super) fn takes(self, method: &Method) -> bool {
        match self {
            Self::Dumb | Self::LfsLocks | Self::LfsUnknown => true,
            Self::Refs => method == Method::GET,
            Self::LfsBatch | Self::LfsLocksVerify | Self::ReceivePack | Self::UploadPack => {
                method == Method::POST
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_git_are_told_from_others() {
        let read = |path: &str| GitPath::read(path).map(|read| read.resource);
        for (path, resource) in [
            ("/acme/widgets.git/info/refs", Resource::Refs),
            ("/acme/widgets/info/refs", Resource::Refs),
            ("/acme/widgets.git/git-upload-pack", Resource::UploadPack),
            ("/acme/widgets.git/git-receive-pack", Resource::ReceivePack),
            ("/acme/widgets.git/HEAD", Resource::Dumb),
            ("/acme/widgets.git/objects/info/packs", Resource::Dumb),
            ("/acme/widgets.git/info/alternates", Resource::Dumb),
            (
                "/acme/widgets.git/info/lfs/objects/batch",
                Resource::LfsBatch,
            ),
            ("/acme/widgets.git/info/lfs/locks", Resource::LfsLocks),
            ("/acme/widgets.git/info/lfs/x", Resource::LfsUnknown),
        ] {
            assert_eq!(read(path), Some(resource), "{path}");
        }
        for path in [
            "/site/oauth2/authorize",
            "/2.0/user/emails",
            "/acme/widgets.git",
            "/acme/widgets.git/info/refs%zz",
            "/acme/widgets.git/git-upload-pack/",
            "/",
        ] {
            assert_eq!(read(path), None, "{path}");
        }
        let uuid = GitPath::read("/%7B77aa%7D/widgets.git/info/refs").unwrap();
        assert_eq!((&*uuid.workspace, &*uuid.repository), ("{77aa}", "widgets"));
    }
}
