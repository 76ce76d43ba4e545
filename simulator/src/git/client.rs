//! The git of the machine as somebody uses it who has no configuration and no credentials.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A person's git, with a home of its own.
#[derive(Debug)]
pub struct Client {
    home: PathBuf,
}

impl Client {
    /// Uses `home`, which is there, for everything that it writes by itself.
    #[must_use]
    pub fn at_home(home: &Path) -> Self {
        Self {
            home: home.to_owned(),
        }
    }

    /// Runs `git` in its home, without a terminal.
    ///
    /// # Errors
    /// If there is no git.
    pub fn run<A: AsRef<OsStr>>(&self, arguments: &[A]) -> io::Result<Output> {
        self.command(arguments).output()
    }

    /// What [`Self::run`] runs, to be changed.
    #[must_use]
    pub fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", &self.home)
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_TERMINAL_PROMPT", "0")
            // What hangs ends after a minute.
            .env("GIT_HTTP_LOW_SPEED_LIMIT", "1")
            .env("GIT_HTTP_LOW_SPEED_TIME", "60");
        for who in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{who}_NAME"), "Somebody")
                .env(format!("GIT_{who}_EMAIL"), "somebody@example.com");
        }
        command
    }
}

/// An address with a name and a password in it, as git takes them: it sends neither before it is
/// asked to.
#[must_use]
pub fn address_for(user: &str, password: &str, host: &str, path: &str) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("http://{}:{}@{host}{path}", encode(user), encode(password))
}

/// The value of an `Authorization` field with a name and a password.
#[must_use]
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}
