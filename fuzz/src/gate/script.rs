//! Conversations as text, so that a seed can be read and a fuzzer finds lines to change.
//!
//! ```text
//! !session                              puts a real session into the jar of cookies
//! !norandom                             the host has no random bytes from here on
//! + 600                                 600 seconds go by
//! < 200 application/json {"a":1}        the next reply of Bitbucket; also "< timeout", "< large",
//!                                       "< unreachable"
//! > GET tools.example.com /app?x        a request; a missing part is a missing pseudo-header
//! accept: text/html                     one of its fields; `\n`, `\r` and `\0` are escaped
//! cookie: $jar                          what was set so far; $state is that of the last login
//! ```

use bitgate::http::Reply;

use crate::setup::{field, unescaped};

/// The most actions of one conversation: what breaks, breaks early.
const MAX_ACTIONS: usize = 48;

/// Fields as Envoy hands them over, pseudo-headers included.
pub(super) type Fields = Vec<(String, Vec<u8>)>;

/// One line, or a request with its fields.
pub(super) enum Action {
    NoRandomness,
    Reply(Reply),
    Request(Fields),
    SignIn,
    Wait(u64),
}

/// Reads what can be read, and leaves out the rest.
pub(super) fn read(bytes: &[u8]) -> Vec<Action> {
    let mut actions: Vec<Action> = Vec::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Some(action) = action(line) {
            if actions.len() == MAX_ACTIONS {
                break;
            }
            actions.push(action);
        } else if let Some(Action::Request(fields)) = actions.last_mut() {
            fields.extend(field(line));
        }
    }
    actions
}

fn action(line: &[u8]) -> Option<Action> {
    match line {
        b"!session" => return Some(Action::SignIn),
        b"!norandom" => return Some(Action::NoRandomness),
        _ => {}
    }
    let (mark, rest) = line.split_at_checked(2)?;
    match mark {
        b"+ " => {
            let seconds = std::str::from_utf8(rest).ok()?.trim().parse::<u32>().ok()?;
            Some(Action::Wait(seconds.into()))
        }
        b"< " => Some(Action::Reply(reply(rest))),
        b"> " => Some(Action::Request(request(rest))),
        _ => None,
    }
}

fn request(line: &[u8]) -> Fields {
    let parts = line.splitn(3, |byte| *byte == b' ');
    let names = [":method", ":authority", ":path"];
    let fields = names.into_iter().zip(parts);
    fields
        .map(|(name, value)| (name.to_owned(), unescaped(value)))
        .collect()
}

fn reply(line: &[u8]) -> Reply {
    let mut parts = line.splitn(3, |byte| *byte == b' ');
    let mut text = || String::from_utf8_lossy(parts.next().unwrap_or_default()).into_owned();
    let (first, media_type) = (text(), text());
    let body = parts.next().unwrap_or_default().to_vec();
    match (first.as_str(), first.parse()) {
        (_, Ok(status)) => Reply::Answer {
            status,
            media_type,
            body,
            retry_after: None,
        },
        ("large", _) => Reply::TooLarge,
        ("timeout", _) => Reply::TimedOut,
        _ => Reply::Unreachable,
    }
}
