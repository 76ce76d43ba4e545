//! Repositories for the simulator as a server: git's own `git http-backend` on bare repositories in
//! a temporary folder, made when they are first asked for, and objects of LFS beside them.
//!
//! Who may what is [`Bitbucket`]'s to say. Natively, without processes, it says the same and
//! serves nothing.

mod backend;
mod client;
mod folder;
mod lfs;
mod object;

pub use client::{Client, address_for, basic};
pub use folder::Folder;
use folder::Repositories;

use std::fmt;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;

use crate::bitbucket::{Bitbucket, GitAnswer, GitPath, Granted, MediaRequest, Resource};
use crate::body::{self, Body};
use crate::{Request, Response, response, server};

/// What runs with every answer: method, path, status.
type Watcher = Box<dyn Fn(&str, &str, u16) + Send + Sync>;

/// Serves repositories at the host of [`Bitbucket`]'s web, and objects of LFS at any host.
pub struct Git {
    bitbucket: Arc<Mutex<Bitbucket>>,
    repositories: Repositories,
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
    watcher: Watcher,
    /// One repository is made at a time.
    making: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Git {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Git")
            .field("repositories", &self.repositories)
            .finish_non_exhaustive()
    }
}

impl Git {
    /// Serves what is in `folder`, with the real clock.
    #[must_use]
    pub fn new(bitbucket: Arc<Mutex<Bitbucket>>, folder: &Folder) -> Self {
        Self {
            bitbucket,
            repositories: folder.repositories(),
            clock: Box::new(server::now),
            watcher: Box::new(|_, _, _| {}),
            making: tokio::sync::Mutex::new(()),
        }
    }

    /// With another clock, in seconds since 1970.
    #[must_use]
    pub fn with_clock(mut self, clock: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        self.clock = Box::new(clock);
        self
    }

    /// Tells method, path and status of every answer.
    #[must_use]
    pub fn watched_by(mut self, watcher: impl Fn(&str, &str, u16) + Send + Sync + 'static) -> Self {
        self.watcher = Box::new(watcher);
        self
    }

    fn bitbucket(&self) -> MutexGuard<'_, Bitbucket> {
        let locked = self.bitbucket.lock();
        locked.unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a request is one for this.
    pub(crate) fn claims(&self, request: &http::Request<Incoming>) -> bool {
        let path = request.uri().path();
        if MediaRequest::is_path(path) {
            return true;
        }
        let host = request
            .headers()
            .get("host")
            .map(http::HeaderValue::as_bytes);
        let is_web = host == Some(self.bitbucket().settings.web_host.as_bytes());
        is_web && GitPath::read(path).is_some()
    }

    pub(crate) async fn answer(
        &self,
        request: http::Request<Incoming>,
    ) -> io::Result<http::Response<Body>> {
        let (method, path) = (request.method().clone(), request.uri().path().to_owned());
        let answer = match GitPath::read(&path) {
            Some(git) => self.repository(request, &git).await?,
            None => self.media(request).await?,
        };
        (self.watcher)(method.as_str(), &path, answer.status().as_u16());
        Ok(answer)
    }

    async fn repository(
        &self,
        request: http::Request<Incoming>,
        path: &GitPath,
    ) -> io::Result<http::Response<Body>> {
        let (head, body) = request.into_parts();
        // What LFS says about objects is short; what git sends is not.
        let (known, body) = match path.resource.is_lfs() {
            false => (Vec::new(), Some(body)),
            true => match body::whole(body).await {
                Some(known) => (known, None),
                None => return Ok(body::too_large()),
            },
        };
        let request = Request::from_parts(head, known);
        let answer = self.bitbucket().git((self.clock)(), &request, path);
        let granted = match answer {
            GitAnswer::Refused(answer) => return body::on_the_wire(answer).await,
            GitAnswer::Granted(granted) => *granted,
        };
        tokio::time::sleep(Duration::from_millis(granted.delay_ms)).await;
        let served = self.serve(&granted, &request, body).await;
        let answer = served.unwrap_or_else(|error| {
            let text = format!("the simulator cannot serve git: {error}\n");
            body::plain(response(500, "text/plain", text))
        });
        let status = answer.status().as_u16();
        self.bitbucket().record(granted.entry, status);
        Ok(answer)
    }

    async fn serve(
        &self,
        granted: &Granted,
        request: &Request,
        body: Option<Incoming>,
    ) -> io::Result<http::Response<Body>> {
        let repository = {
            let _alone = self.making.lock().await;
            self.repositories.made(&granted.repository).await?
        };
        match (granted.resource, body) {
            (Resource::Refs | Resource::ReceivePack | Resource::UploadPack, Some(body)) => {
                backend::run(&repository, granted.resource, request, body).await
            }
            (Resource::LfsBatch, _) => Ok(body::plain(lfs::batch(&repository, granted, request))),
            (Resource::LfsLocks, _) => Ok(body::plain(lfs::locks(request))),
            (Resource::LfsLocksVerify, _) => Ok(body::plain(lfs::no_locks())),
            (_, _) => Ok(body::plain(response(404, "text/plain", "Not found\n"))),
        }
    }

    async fn media(&self, request: http::Request<Incoming>) -> io::Result<http::Response<Body>> {
        let (head, body) = request.into_parts();
        let request = Request::from_parts(head, Vec::new());
        let opened = self.bitbucket().media((self.clock)(), &request);
        let opened = match opened {
            Ok(opened) => opened,
            Err(status) => {
                let text = "No such object for you\n";
                return Ok(body::plain(response(status, "text/plain", text)));
            }
        };
        let answer = object::answer(&self.repositories, &opened, &request, body).await?;
        let status = answer.status().as_u16();
        self.bitbucket().record(opened.entry, status);
        Ok(answer)
    }
}

fn lfs_json(status: u16, document: &serde_json::Value) -> Response {
    response(status, "application/vnd.git-lfs+json", document.to_string())
}
