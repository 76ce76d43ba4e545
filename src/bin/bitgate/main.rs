//! The command `bitgate`: looks at a configuration before Envoy does, and makes session keys.
//!
//! It reads a configuration with the code of the module itself, so it says the same. [`check`] is
//! the place to start: [`input`] reads documents, [`envoy`] and [`kubernetes`] find the
//! [`plugin`]s in them and look at what is around, [`configuration`] reads what they are given.

mod arguments;
mod check;
mod configuration;
mod coverage;
mod envoy;
mod explain;
mod exposure;
mod finding;
mod input;
mod keygen;
mod kubernetes;
mod node;
mod person;
mod plugin;

use std::io::{self, Write};
use std::process::ExitCode;

use crate::arguments::Command;

/// How the command ends: 0, 1 or 2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing is wrong.
    Fine,
    /// Something is.
    Problems,
    /// The command was not understood, or there is nothing to read.
    Usage,
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(match outcome {
            Outcome::Fine => 0,
            Outcome::Problems => 1,
            Outcome::Usage => 2,
        })
    }
}

fn main() -> ExitCode {
    let mut out = io::stdout().lock();
    let outcome = match arguments::parse(lexopt::Parser::from_env()) {
        Ok(Command::Print(text)) => write!(out, "{text}").map(|()| Outcome::Fine),
        Ok(Command::Check(options)) => check::run(&options, &mut out),
        Ok(Command::Codes) => finding::write_codes(&mut out).map(|()| Outcome::Fine),
        Ok(Command::Explain(options)) => explain::run(&options, &mut out),
        Ok(Command::Keygen(options)) => keygen::run(&options, &mut out),
        Err(message) => {
            complain(&message);
            Ok(Outcome::Usage)
        }
    };
    match outcome.and_then(|outcome| out.flush().map(|()| outcome)) {
        Ok(outcome) => outcome.into(),
        // Who reads no further, such as `head`, wants no complaint.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Outcome::Usage.into(),
        Err(error) => {
            complain(&error.to_string());
            Outcome::Usage.into()
        }
    }
}

/// Says on standard error what the command could not do.
pub(crate) fn complain(message: &str) {
    // Nobody is left to be told if this fails.
    let _ = writeln!(io::stderr(), "bitgate: {message}");
}
