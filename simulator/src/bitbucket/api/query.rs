//! `q=…`: which rows. Terms with `AND` between them; a term is a field, an operator and a value.
//!
//! ```text
//! query = term *( " AND " term )
//! term  = field ( "=" / "!=" / "~" / ">" / ">=" / "<" / "<=" ) value
//! value = DQUOTE *( any but DQUOTE and "\" / "\" any ) DQUOTE / "true" / "false"
//! ```

use super::refusal::Refusal;

/// A field that a resource can be asked for, and of which kind its values are.
#[derive(Clone, Copy, Debug)]
pub(super) enum Field {
    Flag(&'static str),
    /// The words from the least to the greatest.
    Rank(&'static str, &'static [&'static str]),
    Text(&'static str),
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Flag(name) | Self::Rank(name, _) | Self::Text(name) => name,
        }
    }
}

#[derive(Debug)]
struct Term {
    field: Field,
    operator: &'static str,
    value: String,
}

/// What all rows must have.
#[derive(Debug)]
pub(super) struct Query(Vec<Term>);

const OPERATORS: [&str; 7] = ["!=", ">=", "<=", "=", "~", ">", "<"];

impl Query {
    pub(super) fn read(text: Option<&str>, fields: &[Field]) -> Result<Self, Refusal> {
        let Some(text) = text else {
            return Ok(Self(Vec::new()));
        };
        let mut terms = Vec::new();
        let mut rest = text.trim();
        loop {
            let (term, after) = term(rest, fields).ok_or_else(|| unknown(text))?;
            terms.push(term);
            rest = after.trim_start();
            if rest.is_empty() {
                return Ok(Self(terms));
            }
            let next = rest.strip_prefix("AND ").filter(|_| after != rest);
            rest = next.ok_or_else(|| unknown(text))?.trim_start();
        }
    }

    /// The value that a field must have, if it must have exactly one.
    pub(super) fn exactly(&self, field: &str) -> Option<&str> {
        let term = self
            .0
            .iter()
            .find(|term| term.field.name() == field && term.operator == "=")?;
        Some(&term.value)
    }

    /// Whether a row has everything, where `value_of` tells the value of a field.
    pub(super) fn matches(&self, value_of: impl Fn(&str) -> String) -> bool {
        self.0
            .iter()
            .all(|term| term.holds(&value_of(term.field.name())))
    }
}

impl Term {
    fn holds(&self, value: &str) -> bool {
        if let Field::Rank(_, words) = self.field {
            let rank = |word: &str| words.iter().position(|known| *known == word);
            let (value, wanted) = (rank(value), rank(&self.value));
            return match self.operator {
                "=" => value == wanted,
                "!=" => value != wanted,
                ">" => value > wanted,
                ">=" => value >= wanted,
                "<" => value < wanted,
                _ => value <= wanted,
            };
        }
        match self.operator {
            "=" => value == self.value,
            "!=" => value != self.value,
            _ => value.to_lowercase().contains(&self.value.to_lowercase()),
        }
    }
}

fn unknown(text: &str) -> Refusal {
    Refusal::BadRequest(format!("Invalid query: {text}"))
}

fn term<'q>(text: &'q str, fields: &[Field]) -> Option<(Term, &'q str)> {
    let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'))?;
    let (name, rest) = text.split_at_checked(end)?;
    let field = *fields.iter().find(|field| field.name() == name)?;
    let rest = rest.trim_start();
    let operator = OPERATORS.into_iter().find(|sign| rest.starts_with(sign))?;
    let (value, is_quoted, rest) = value(rest.strip_prefix(operator)?.trim_start())?;
    let fits = match field {
        Field::Flag(_) => !is_quoted && ["=", "!="].contains(&operator),
        Field::Rank(_, words) => is_quoted && operator != "~" && words.contains(&value.as_str()),
        Field::Text(_) => is_quoted && ["=", "!=", "~"].contains(&operator),
    };
    let term = Term {
        field,
        operator,
        value,
    };
    fits.then_some((term, rest))
}

/// The value, whether it was in quotes, and what comes after it.
fn value(text: &str) -> Option<(String, bool, &str)> {
    for word in ["true", "false"] {
        if let Some(rest) = text.strip_prefix(word) {
            return Some((word.to_owned(), false, rest));
        }
    }
    let mut value = String::new();
    let mut rest = text.strip_prefix('"')?.chars();
    loop {
        match rest.next()? {
            '"' => return Some((value, true, rest.as_str())),
            '\\' => value.push(rest.next()?),
            c => value.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIELDS: [Field; 3] = [
        Field::Text("repository.full_name"),
        Field::Rank("permission", &["read", "write", "admin"]),
        Field::Flag("is_private"),
    ];

    #[test]
    fn rows_are_held_against_all_terms() {
        for (text, expected) in [
            ("repository.full_name=\"acme/widgets\"", true),
            ("repository.full_name = \"acme/widgets\"", true),
            ("repository.full_name=\"Acme/widgets\"", false),
            ("repository.full_name~\"WIDG\"", true),
            ("repository.full_name!=\"acme/widgets\"", false),
            ("permission=\"write\"", true),
            ("permission>\"read\"", true),
            ("permission>\"write\"", false),
            ("permission>=\"write\" AND is_private=true", true),
            ("permission<\"write\"", false),
            ("permission<=\"write\"", true),
            ("permission!=\"write\"", false),
            ("is_private=false", false),
            (
                "permission>\"read\" AND repository.full_name=\"acme/x\"",
                false,
            ),
            ("repository.full_name=\"a\\\"c\\\\\"", false),
        ] {
            let query = Query::read(Some(text), &FIELDS).unwrap();
            let matches = query.matches(|field| {
                let value = match field {
                    "repository.full_name" => "acme/widgets",
                    "permission" => "write",
                    _ => "true",
                };
                value.to_owned()
            });
            assert_eq!(matches, expected, "{text}");
        }
        let all = Query::read(None, &[]).unwrap();
        assert!(all.matches(|_| String::new()));
        let query = Query::read(Some("repository.full_name=\"a\\\"\\\\\""), &FIELDS).unwrap();
        assert_eq!(query.exactly("repository.full_name"), Some("a\"\\"));
        assert_eq!(query.exactly("permission"), None);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for text in [
            "nickname=\"ada\"",
            "repository.full_name",
            "repository.full_name=acme/widgets",
            "repository.full_name='acme/widgets'",
            "repository.full_name=\"acme/widgets",
            "repository.full_name>\"acme\"",
            "permission>\"owner\"",
            "permission~\"read\"",
            "is_private=\"true\"",
            "is_private>true",
            "permission=\"read\" OR permission=\"write\"",
            "permission=\"read\"AND is_private=true",
            "permission=\"read\" AND ",
            "(permission=\"read\")",
            "=\"x\"",
            " ",
        ] {
            let refused = Query::read(Some(text), &FIELDS);
            assert!(matches!(refused, Err(Refusal::BadRequest(_))), "{text}");
        }
    }
}
