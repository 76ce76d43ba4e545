//! What there is to say about a file: one line each, with a stable code.

use std::fmt;
use std::io::{self, Write};

use bitgate::json::Json;

use crate::node::{Node, rest_of};

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// It does not work, or lets somebody in.
    Error,
    /// It works, and should not stay so.
    Warning,
    /// This file cannot say whether it is right.
    Note,
}

/// Declares the codes in one table, so that none can lack a part.
macro_rules! codes {
    ($($name:ident: $code:literal, $level:ident, $text:literal;)+) => {
        /// What kind of thing was found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Code {
            $(#[doc = $text] $name,)+
        }

        impl Code {
            const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word in brackets.
            fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $code,)+
                }
            }

            /// How bad it is, unless the finding says otherwise.
            fn level(self) -> Level {
                match self {
                    $(Self::$name => Level::$level,)+
                }
            }

            fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

codes! {
    AdminAddress: "admin-address", Warning,
        "The admin interface listens on an address that others may reach.";
    BodyBeforeDecision: "body-before-decision", Error,
        "`allow_on_headers_stop_iteration` lets a request go on before Bitgate has decided.";
    ClientAddress: "client-address", Warning,
        "Envoy believes what any client says about its address.";
    Configuration: "configuration", Error,
        "What Bitgate itself says when it reads its configuration; some of it is a warning.";
    CoveredRule: "covered-rule", Warning,
        "A rule that no request reaches, since earlier ones match all of it.";
    CredentialElsewhere: "credential-elsewhere", Warning,
        "A route sends requests, with the tokens in them, to another place than the rule is about.";
    DuplicateKey: "duplicate-key", Error,
        "A key that is there twice: two readers may choose differently.";
    EnvNotPassed: "env-not-passed", Error,
        "The configuration names a variable that is not passed on to the module.";
    EnvNotSet: "env-not-set", Warning,
        "A variable is not set where the command runs, so its value was not checked.";
    EscapedSlashes: "escaped-slashes", Warning,
        "What Envoy does with `%2f` does not fit the rules.";
    FailClosed: "fail-closed", Warning,
        "After a failure of the module all requests get 503 until Envoy restarts.";
    FailOpen: "fail-open", Error,
        "After a failure of the module everybody gets in.";
    FilterDisabled: "filter-disabled", Warning,
        "Some requests pass without Bitgate.";
    FilterOrder: "filter-order", Warning,
        "Another filter changes, answers or records a request before Bitgate has judged it.";
    InlineSecret: "inline-secret", Warning,
        "A secret stands in the manifest itself, and in `/config_dump`.";
    MergeSlashes: "merge-slashes", Warning,
        "Envoy makes of `//reports` another path than the client asked for.";
    NoBufferLimit: "no-buffer-limit", Warning,
        "Answers of any size to Bitgate's own calls are kept in memory.";
    NoConfiguration: "no-configuration", Error,
        "No configuration of Bitgate is in the file.";
    NoStreamTimeout: "no-stream-timeout", Warning,
        "A stream whose filter died while it waited stays open.";
    NotInFile: "not-in-file", Note,
        "Settings of Envoy that stand elsewhere.";
    PathNormalization: "path-normalization", Warning,
        "Rules and the service may see different paths.";
    PathRewrite: "path-rewrite", Warning,
        "The service gets another path than the one that the rules judged.";
    RetryPolicy: "retry-policy", Warning,
        "Calls with single-use codes and tokens are repeated.";
    SharedVm: "shared-vm", Warning,
        "Another plugin has the same `vm_id`, and with it the same shared data.";
    Syntax: "syntax", Error,
        "The file is neither JSON nor YAML.";
    TlsMissing: "tls-missing", Error,
        "Calls to an https address go out in plain text.";
    TlsUnverified: "tls-unverified", Warning,
        "Whoever stands between can answer in the place of Bitbucket.";
    UnderscoreHeaders: "underscore-headers", Warning,
        "Header names with `_`, which some services read as `-`, reach the service.";
    UnknownCluster: "unknown-cluster", Error,
        "The configuration names a cluster that is not there.";
    UnpinnedModule: "unpinned-module", Warning,
        "The module comes from elsewhere without a checksum.";
}

/// Prints all codes.
pub(crate) fn write_codes(out: &mut impl Write) -> io::Result<()> {
    for code in Code::ALL {
        writeln!(out, "{} ({}): {}", code.as_str(), code.level(), code.text())?;
    }
    Ok(())
}

/// A thing of a file that findings are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// What people call it: `listener site`.
    pub(crate) name: String,
    /// Its path in the document, which findings leave out.
    pub(crate) path: String,
}

impl Place {
    /// A thing with a name.
    pub(crate) fn new(name: impl Into<String>, path: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            path: path.into(),
        }
    }
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// How bad it is.
    pub(crate) level: Level,
    code: Code,
    place: String,
    message: String,
}

/// All that was found.
#[derive(Debug, Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    /// Adds what was expected at `path` of the document, what was found, and why that matters.
    pub(crate) fn add(
        &mut self,
        code: Code,
        place: &Place,
        path: &str,
        [expected, found, why]: [&str; 3],
    ) {
        let path = rest_of(path, &place.path).unwrap_or(path);
        let message = format!("expected {expected}, but found {found}: {why}");
        self.say(code, code.level(), place, &joined(path, &message));
    }

    /// Adds a line in words of its own.
    pub(crate) fn say(&mut self, code: Code, level: Level, place: &Place, message: &str) {
        let finding = Finding {
            level,
            code,
            place: place.name.clone(),
            message: message.to_owned(),
        };
        // Two plugins of one Envoy share clusters.
        if !self.0.contains(&finding) {
            self.0.push(finding);
        }
    }

    /// The findings, errors first.
    pub(crate) fn sorted(mut self) -> Vec<Finding> {
        self.0.sort_by_key(|finding| finding.level);
        self.0
    }
}

/// A path and what is said about it.
pub(crate) fn joined(path: &str, message: &str) -> String {
    match path {
        "" => message.to_owned(),
        path => format!("{path}: {message}"),
    }
}

/// A value as part of a message.
pub(crate) fn found(node: Option<&Node<'_>>) -> String {
    match node.map(|node| node.json) {
        None => "none".to_owned(),
        Some(Json::Bool(value)) => value.to_string(),
        Some(Json::Number(number)) => number.to_string(),
        Some(Json::String(text)) => match text.chars().nth(80) {
            None => text.clone(),
            Some(_) => "a long text".to_owned(),
        },
        Some(other @ (Json::Null | Json::Array(_) | Json::Object(_))) => other.kind().to_owned(),
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Note => "note",
        })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (level, code) = (self.level, self.code.as_str());
        write!(
            f,
            "{level} [{code}] {}: {}",
            one_line(&self.place),
            one_line(&self.message)
        )
    }
}

/// A text of the file cannot forge a line, nor hide a part of one.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '\'' | '\\' => line.push(c),
            c => line.extend(c.escape_debug()),
        }
    }
    line
}
