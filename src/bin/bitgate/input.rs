//! Files: JSON, or YAML with one document or more.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};

use bitgate::json::Json;
use serde_saphyr::{Budget, Options};

use crate::finding::Code;

/// What was read.
#[derive(Debug)]
pub(crate) struct Input {
    /// What findings call it.
    pub(crate) name: String,
    bytes: Vec<u8>,
}

/// One document of a file.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its content.
    pub(crate) json: Json,
    /// Its bytes, if it is JSON: only they tell everything that is wrong with it.
    pub(crate) text: Option<Vec<u8>>,
}

impl Input {
    /// Reads a file, or standard input for `-`.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn read(file: &OsStr) -> io::Result<Self> {
        let mut bytes = Vec::new();
        if file == "-" {
            io::stdin().lock().read_to_end(&mut bytes)?;
        } else {
            bytes = fs::read(file)?;
        }
        let name = match file == "-" {
            true => "standard input".to_owned(),
            false => file.to_string_lossy().into_owned(),
        };
        // RFC 8259 section 8.1: a reader may ignore it.
        if let Some(rest) = bytes.strip_prefix(b"\xef\xbb\xbf") {
            bytes = rest.to_vec();
        }
        Ok(Self { name, bytes })
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The documents in it.
    ///
    /// # Errors
    /// *expected X, but found Y*, without any text of the file.
    pub(crate) fn documents(&self) -> Result<Vec<Document>, (Code, String)> {
        let json = Json::parse(&self.bytes);
        let is_json =
            self.name.ends_with(".json") || self.bytes.trim_ascii_start().first() == Some(&b'{');
        match json {
            Ok(json) => Ok(vec![Document {
                json,
                text: Some(self.bytes.clone()),
            }]),
            Err(error) if is_json => {
                let (line, column) = (error.line(), error.column());
                let found = format!("a mistake in line {line}, column {column}");
                Err((Code::Syntax, format!("expected JSON, but found {found}")))
            }
            Err(_) => self.yaml(),
        }
    }

    fn yaml(&self) -> Result<Vec<Document>, (Code, String)> {
        let Ok(text) = std::str::from_utf8(&self.bytes) else {
            let message = "expected JSON or YAML in UTF-8, but found other bytes";
            return Err((Code::Syntax, message.to_owned()));
        };
        let options = Options {
            budget: Some(Budget {
                // As serde_json: whoever walks through the tree has a stack that ends.
                max_depth: 128,
                ..Budget::default()
            }),
            // A message must not show a part of the file, which may be a secret.
            with_snippet: false,
            ..Options::default()
        };
        let documents = serde_saphyr::from_multiple_with_options::<Json>(text, options);
        let documents = documents.map_err(|error| mistake(&error))?;
        let document = |json| Document { json, text: None };
        Ok(documents.into_iter().map(document).collect())
    }
}

fn mistake(error: &serde_saphyr::Error) -> (Code, String) {
    let (mut code, mut what) = (Code::Syntax, "a mistake");
    if let serde_saphyr::Error::Message { msg, .. } = error
        && msg.starts_with("duplicate mapping key")
    {
        (code, what) = (Code::DuplicateKey, "a key twice");
    }
    let place = error.location().map_or(String::new(), |location| {
        format!(" in line {}, column {}", location.line(), location.column())
    });
    (code, format!("expected YAML, but found {what}{place}"))
}
