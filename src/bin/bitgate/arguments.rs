//! The command line.

use std::ffi::OsString;

use lexopt::Arg::{Long, Short, Value};
use lexopt::{Parser, ValueExt};

/// What to do.
#[derive(Debug)]
pub(crate) enum Command {
    /// Look at a file.
    Check(CheckOptions),
    /// List the codes of findings.
    Codes,
    /// Say what becomes of a request.
    Explain(ExplainOptions),
    /// Make a session key.
    Keygen(KeygenOptions),
    /// Print a text.
    Print(String),
}

/// How to look at a file.
#[derive(Debug)]
pub(crate) struct CheckOptions {
    /// Its name; `-` for standard input.
    pub(crate) file: OsString,
    /// What a warning means for the exit status.
    pub(crate) warnings: Warnings,
    /// What a secret means whose variable is not set.
    pub(crate) unset: Unset,
}

/// What a warning means for the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Warnings {
    /// It is no problem.
    Allowed,
    /// It is one.
    Fail,
}

/// What a secret means whose variable is not set where the command runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unset {
    /// As for the module: it cannot start.
    Problem,
    /// It is set elsewhere: something else stands in for it.
    StandIn,
}

/// Which request to explain.
#[derive(Debug)]
pub(crate) struct ExplainOptions {
    /// The file with the configuration.
    pub(crate) file: OsString,
    /// The file that says who asks; nobody has signed in without one.
    pub(crate) person: Option<OsString>,
    /// The place of the configuration, where a file has several.
    pub(crate) place: Option<String>,
    /// The form of the answer.
    pub(crate) form: Form,
    /// The requests.
    pub(crate) asked: Asked,
}

/// Which requests to explain.
#[derive(Debug)]
pub(crate) enum Asked {
    /// Those in the lines of standard input.
    Lines,
    /// A method and an address.
    One(String, String),
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// One JSON document.
    Json,
    /// Lines for people.
    Text,
}

/// What a key looks like.
#[derive(Debug)]
pub(crate) struct KeygenOptions {
    /// Its name, unless it is named by today's date.
    pub(crate) kid: Option<String>,
    /// In which form it is printed.
    pub(crate) form: KeyForm,
}

/// In which form a key is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyForm {
    /// With everything that is needed to use it.
    Entry,
    /// The key alone.
    Raw,
}

const HELP: &str = "\
Looks at configurations of Bitgate before Envoy does, and makes session keys.

Usage:
  bitgate check [--strict] [--env] FILE   find what is wrong, and who receives which token
  bitgate explain FILE METHOD URL         say what becomes of a request, and why
  bitgate keygen [--kid KID] [--raw]      make a session key
  bitgate COMMAND --help                  say more about one command
  bitgate --version

docs/command.md has examples.
";

const CHECK_HELP: &str = "\
Finds what is wrong with a configuration and with the Envoy around it, and prints which paths
receive a Bitbucket token.

Usage: bitgate check [--strict] [--env] FILE

FILE, or standard input for \"-\", is one of
  a configuration of Bitgate   JSON or YAML
  a configuration of Envoy     a bootstrap, or single resources such as a Listener
  a Kubernetes manifest        WasmPlugin, EnvoyFilter, EnvoyExtensionPolicy, EnvoyPatchPolicy

Options:
  --strict   warnings are problems too
  --env      secrets must be set in this environment, as for Envoy itself; else a warning says
             which are not, and the rest is checked
  --codes    list the codes of all findings instead

Exit status: 0 if nothing is wrong, 1 if something is, 2 if FILE cannot be read.
";

const EXPLAIN_HELP: &str = "\
Says what becomes of a request: the rule, its conditions, and the outcome.

Usage: bitgate explain FILE [--as PERSON] [--in PLACE] [--json] METHOD URL
       bitgate explain FILE [--as PERSON] [--in PLACE] [--json] - < REQUESTS

FILE is as for bitgate check; REQUESTS has METHOD and URL in each line. URL is an address, or a path
of the site; it is taken as it is, so that what is wrong with it shows. The request is one of a
program, without headers of its own.

Options:
  --as PERSON   a file with what Bitbucket knows about somebody (docs/command.md); without it,
                nobody has signed in
  --in PLACE    the place of the configuration as in bitgate check, where a file has several
  --json        one JSON document in a line for each request

Exit status: 0 if all requests are let through, 1 if one is refused, 2 if that cannot be said.
";

const KEYGEN_HELP: &str = "\
Prints a new session key of 32 random bytes: the line for the environment, and the entry for
session.keys.

Usage: bitgate keygen [--kid KID] [--raw]

Options:
  --kid KID   the key's public name instead of today's date: letters, digits, \"-\" and \"_\"
  --raw       the key in base64 and nothing else
";

/// Reads the command line.
///
/// # Errors
/// What cannot be understood, for people.
pub(crate) fn parse(mut parser: Parser) -> Result<Command, String> {
    let command = match next(&mut parser)? {
        None => return Err(format!("expected a command\n\n{HELP}")),
        Some(Long("help") | Short('h')) => return Ok(Command::Print(HELP.to_owned())),
        Some(Long("version") | Short('V')) => {
            let version = format!("bitgate {}\n", env!("CARGO_PKG_VERSION"));
            return Ok(Command::Print(version));
        }
        Some(Value(name)) => name.to_string_lossy().into_owned(),
        Some(other @ (Long(_) | Short(_))) => return Err(other.unexpected().to_string()),
    };
    match command.as_str() {
        "check" => check(parser),
        "explain" => explain(parser),
        "keygen" => keygen(parser),
        "help" => Ok(Command::Print(HELP.to_owned())),
        _ => Err(format!(
            "expected check, explain or keygen, but found {command:?}: see bitgate --help"
        )),
    }
}

fn check(mut parser: Parser) -> Result<Command, String> {
    let mut file = None;
    let (mut warnings, mut unset) = (Warnings::Allowed, Unset::StandIn);
    while let Some(argument) = next(&mut parser)? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Print(CHECK_HELP.to_owned())),
            Long("codes") => return Ok(Command::Codes),
            Long("strict") => warnings = Warnings::Fail,
            Long("env") => unset = Unset::Problem,
            Value(name) if file.is_none() => file = Some(name),
            Value(_) | Long(_) | Short(_) => return Err(argument.unexpected().to_string()),
        }
    }
    let Some(file) = file else {
        return Err("expected a file to check: see bitgate check --help".to_owned());
    };
    Ok(Command::Check(CheckOptions {
        file,
        warnings,
        unset,
    }))
}

fn explain(mut parser: Parser) -> Result<Command, String> {
    let mut values = Vec::new();
    let (mut person, mut place, mut form) = (None, None, Form::Text);
    while let Some(argument) = next(&mut parser)? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Print(EXPLAIN_HELP.to_owned())),
            Long("as") => person = Some(parser.value().map_err(|error| error.to_string())?),
            Long("in") => place = Some(text(&mut parser)?),
            Long("json") => form = Form::Json,
            Value(value) => values.push(value),
            Long(_) | Short(_) => return Err(argument.unexpected().to_string()),
        }
    }
    let is_stdin = |value: &OsString| value == "-";
    let (file, asked) = match <[OsString; 3]>::try_from(values) {
        Ok([file, method, url]) => {
            let method = method.string().map_err(|error| error.to_string())?;
            let url = url.string().map_err(|error| error.to_string())?;
            (file, Asked::One(method, url))
        }
        Err(values) => match <[OsString; 2]>::try_from(values) {
            Ok([file, lines]) if is_stdin(&lines) && !is_stdin(&file) => (file, Asked::Lines),
            Ok(_) | Err(_) => {
                let message =
                    "expected a file, a method and an address: see bitgate explain --help";
                return Err(message.to_owned());
            }
        },
    };
    Ok(Command::Explain(ExplainOptions {
        file,
        person,
        place,
        form,
        asked,
    }))
}

fn keygen(mut parser: Parser) -> Result<Command, String> {
    let (mut kid, mut form) = (None, KeyForm::Entry);
    while let Some(argument) = next(&mut parser)? {
        match argument {
            Long("help") | Short('h') => return Ok(Command::Print(KEYGEN_HELP.to_owned())),
            Long("raw") => form = KeyForm::Raw,
            Long("kid") => kid = Some(text(&mut parser)?),
            Value(_) | Long(_) | Short(_) => return Err(argument.unexpected().to_string()),
        }
    }
    Ok(Command::Keygen(KeygenOptions { kid, form }))
}

fn next(parser: &mut Parser) -> Result<Option<lexopt::Arg<'_>>, String> {
    parser.next().map_err(|error| error.to_string())
}

fn text(parser: &mut Parser) -> Result<String, String> {
    let value = parser.value().map_err(|error| error.to_string())?;
    value.string().map_err(|error| error.to_string())
}
