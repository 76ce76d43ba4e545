//! The demo service: shows a person what a service behind Bitgate receives.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Mutex;

use bitgate_simulator::server;
use bitgate_simulator::upstream::Upstream;
use lexopt::prelude::*;

const HELP: &str = "demo-upstream [--listen 127.0.0.1:10003]";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("demo-upstream: {error}\n{HELP}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), lexopt::Error> {
    let mut listen: SocketAddr = ([127, 0, 0, 1], 10_003).into();
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("listen") => listen = arguments.value()?.parse()?,
            Long("help") | Short('h') => {
                println!("{HELP}");
                return Ok(());
            }
            other => return Err(other.unexpected()),
        }
    }
    let upstream = Mutex::new(Upstream::default());
    let running = server::spawn(listen, move |_, request| {
        upstream
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
            .handle(&request)
    });
    let running = running.map_err(|error| format!("{listen}: {error}"))?;
    println!("demo upstream: http://{}", running.address());
    server::wait_for_the_end();
    Ok(())
}
