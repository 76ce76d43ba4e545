//! Where the repositories are.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::process::Command;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// A folder of bare repositories; it is removed with this value.
#[derive(Debug)]
pub struct Folder(Repositories);

impl Folder {
    /// A new one in the system's place for temporary files.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create() -> io::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("bitbucket-simulator-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path)?;
        Ok(Self(Repositories(path)))
    }

    /// Where the repository with this UUID is, whether there is one or not yet.
    #[must_use]
    pub fn repository(&self, uuid: &str) -> PathBuf {
        self.0.at(uuid)
    }

    pub(super) fn repositories(&self) -> Repositories {
        self.0.clone()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0.0);
    }
}

/// What is in the folder, as long as that is there.
#[derive(Clone, Debug)]
pub(super) struct Repositories(PathBuf);

impl Repositories {
    pub(super) fn at(&self, uuid: &str) -> PathBuf {
        let bare = uuid.trim_matches(['{', '}']);
        self.0.join(format!("{bare}.git"))
    }

    /// The repository with this UUID, made if there is none.
    pub(super) async fn made(&self, uuid: &str) -> io::Result<PathBuf> {
        let repository = self.at(uuid);
        if repository.exists() {
            return Ok(repository);
        }
        // Elsewhere first: what is there under its name is complete.
        let unfinished = self.0.join("unfinished");
        let _ = std::fs::remove_dir_all(&unfinished);
        let mut init = git(&self.0);
        init.args([
            "init",
            "--quiet",
            "--bare",
            "--template=",
            "--initial-branch=main",
        ]);
        succeeded(init.arg(&unfinished)).await?;
        for (key, value) in [
            ("http.receivepack", "true"),
            ("uploadpack.allowFilter", "true"),
            ("uploadpack.allowAnySHA1InWant", "true"),
            // Nothing is to run on after an answer.
            ("receive.autogc", "false"),
            ("gc.auto", "0"),
            ("maintenance.auto", "false"),
        ] {
            let mut config = git(&self.0);
            config
                .arg("-C")
                .arg(&unfinished)
                .args(["config", key, value]);
            succeeded(&mut config).await?;
        }
        std::fs::create_dir_all(objects_of(&unfinished))?;
        std::fs::rename(&unfinished, &repository)?;
        Ok(repository)
    }
}

/// Where the objects of LFS of a repository are.
pub(super) fn objects_of(repository: &Path) -> PathBuf {
    repository.join("lfs")
}

/// Git without what the machine or the person says about it.
pub(super) fn git(home: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", home)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

async fn succeeded(command: &mut Command) -> io::Result<()> {
    let status = command.status().await?;
    match status.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("git: {status}"))),
    }
}
