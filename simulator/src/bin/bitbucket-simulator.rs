//! The simulator of Bitbucket as a process, at three addresses.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bitgate_simulator::bitbucket::{Bitbucket, Mode, Settings};
use bitgate_simulator::git::{Folder, Git};
use bitgate_simulator::server;
use lexopt::prelude::*;

const HELP: &str = "\
bitbucket-simulator [options]
  --web ADDRESS            in the place of bitbucket.org (127.0.0.1:10001)
  --api ADDRESS            in the place of api.bitbucket.org (127.0.0.1:10002)
  --media ADDRESS          where objects of LFS are (127.0.0.1:10004)
  --mode migrated|legacy   before or after the overhaul of May 2026 (migrated)
  --client-id TEXT         the consumer's key (demo-consumer)
  --client-secret TEXT     its secret (demo-secret)
  --callback URL           its callback URL
  --scopes TEXT            what is ticked on it, with commas (account,email,repository)
  --token-length NUMBER    characters of a token
  --access-lifetime NUMBER seconds that an access token lives (7200)
  --reuse-window NUMBER    seconds that a used refresh token works (600)
  --lock-out NUMBER        seconds of refusals after a reuse (0)
  --latency NUMBER         milliseconds before each answer (0)
  --api-limit NUMBER       calls to the API an hour, for each consumer and access token;
                           0 is no limit (1000)
Repositories are served at the first address with the git of the machine. They are gone at the end.";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bitbucket-simulator: {error}\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), lexopt::Error> {
    let mut settings = Settings {
        seed: u64::from(std::process::id()),
        ..Settings::default()
    };
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        let consumer = settings.consumers.first_mut().ok_or("no consumer")?;
        match argument {
            Long("web") => settings.web_host = arguments.value()?.string()?,
            Long("api") => settings.api_host = arguments.value()?.string()?,
            Long("media") => settings.media_host = arguments.value()?.string()?,
            Long("mode") => {
                settings.mode = match arguments.value()?.string()?.as_str() {
                    "migrated" => Mode::Migrated,
                    "legacy" => Mode::Legacy,
                    other => {
                        return Err(
                            format!("expected migrated or legacy, but found {other}").into()
                        );
                    }
                }
            }
            Long("client-id") => consumer.client_id = arguments.value()?.string()?,
            Long("client-secret") => consumer.client_secret = arguments.value()?.string()?,
            Long("callback") => consumer.callback = arguments.value()?.string()?,
            Long("scopes") => {
                let names = arguments.value()?.string()?;
                consumer.scopes = names.split(',').map(str::to_owned).collect();
            }
            Long("token-length") => settings.token_length = Some(arguments.value()?.parse()?),
            Long("access-lifetime") => settings.access_lifetime = arguments.value()?.parse()?,
            Long("reuse-window") => settings.reuse_window = arguments.value()?.parse()?,
            Long("lock-out") => settings.lock_out = arguments.value()?.parse()?,
            Long("latency") => settings.latency_ms = arguments.value()?.parse()?,
            Long("api-limit") => settings.api_limit = Some(arguments.value()?.parse()?),
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected()),
        }
    }
    let addresses = [
        settings.web_host.clone(),
        settings.api_host.clone(),
        settings.media_host.clone(),
    ];
    let mut bitbucket = Bitbucket::new(settings);
    // As in a workspace that has used Pipelines for a while.
    let _ = bitbucket.set_pipelines_ran("acme", true);
    let bitbucket = Arc::new(Mutex::new(bitbucket));
    let folder = Folder::create().map_err(|error| format!("a folder for git: {error}"))?;
    let git = Git::new(Arc::clone(&bitbucket), &folder).watched_by(print);
    let git = Arc::new(git);
    let mut servers = Vec::new();
    for text in addresses {
        let address: SocketAddr = text.parse().map_err(|_| {
            format!("expected an address such as 127.0.0.1:10001, but found {text}")
        })?;
        let bitbucket = Arc::clone(&bitbucket);
        let running = server::spawn_with_git(address, &git, move |now, request| {
            let lock = || bitbucket.lock().unwrap_or_else(PoisonError::into_inner);
            std::thread::sleep(Duration::from_millis(lock().settings.latency_ms));
            let answer = lock().handle(now, &request);
            let (method, path) = (request.method().as_str(), request.uri().path());
            print(method, path, answer.status().as_u16());
            answer
        });
        servers.push(running.map_err(|error| format!("{address}: {error}"))?);
    }
    println!("bitbucket simulator: ready");
    server::wait_for_the_end();
    Ok(())
}

fn print(method: &str, path: &str, status: u16) {
    println!("{method} {path} {status}");
}
