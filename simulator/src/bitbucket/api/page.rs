//! Lists in pages. A client follows `next` as it is.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Asked;
use super::refusal::Refusal;
use crate::bitbucket::settings::Paging;

const DEFAULT_LENGTH: usize = 10;
const MAX_LENGTH: usize = 100;

impl Asked<'_> {
    /// The page of `rows` that was asked for. Only its own rows are rendered.
    pub(super) fn page<T>(
        &self,
        mut rows: impl Iterator<Item = T>,
        render: impl FnMut(T) -> Value,
    ) -> Result<Value, Refusal> {
        let length = self.length()?;
        let skipped = self.skipped(length)?;
        // Beyond the end there is nothing to skip.
        let before = (0..skipped).take_while(|_| rows.next().is_some()).count();
        let values: Vec<Value> = rows.by_ref().take(length).map(render).collect();
        let taken = values.len();
        let mut document = json!({"pagelen": length});
        document["values"] = values.into();
        let number = skipped / length + 1;
        let after = match self.settings.paging {
            Paging::Counted => {
                let after = rows.count();
                document["page"] = number.into();
                document["size"] = (before + taken + after).into();
                if number > 1 {
                    document["previous"] = self.link("page", &(number - 1).to_string()).into();
                }
                after
            }
            Paging::Numbered => {
                document["page"] = number.into();
                usize::from(rows.next().is_some())
            }
            Paging::Opaque => usize::from(rows.next().is_some()),
        };
        if after > 0 {
            document["next"] = match self.settings.paging {
                Paging::Counted | Paging::Numbered => {
                    self.link("page", &(number + 1).to_string()).into()
                }
                Paging::Opaque => self.link("ctx", &self.mark(skipped + length)).into(),
            };
        }
        Ok(document)
    }

    fn length(&self) -> Result<usize, Refusal> {
        let Some(text) = self.parameters.get("pagelen") else {
            return Ok(DEFAULT_LENGTH);
        };
        let length = text.parse().ok().filter(|n| (1..=MAX_LENGTH).contains(n));
        length.ok_or_else(|| Refusal::BadRequest("Invalid pagelen".to_owned()))
    }

    fn skipped(&self, length: usize) -> Result<usize, Refusal> {
        let invalid = || Refusal::BadRequest("Invalid page".to_owned());
        let (page, mark) = (self.parameters.get("page"), self.parameters.get("ctx"));
        match (self.settings.paging, page, mark) {
            (_, None, None) => Ok(0),
            (Paging::Counted | Paging::Numbered, Some(page), None) => {
                let number = page.parse::<usize>().ok().and_then(|n| n.checked_sub(1));
                let skipped = number.and_then(|number| number.checked_mul(length));
                skipped.ok_or_else(invalid)
            }
            (Paging::Opaque, None, Some(mark)) => {
                let skipped = mark.split('.').next().and_then(|text| text.parse().ok());
                let is_ours = |skipped: &usize| self.mark(*skipped) == mark;
                skipped.filter(is_ours).ok_or_else(invalid)
            }
            (_, _, _) => Err(invalid()),
        }
    }

    /// Where a page begins, as nobody else can say it: for this caller and this list alone.
    fn mark(&self, skipped: usize) -> String {
        let mut digest = Sha256::new_with_prefix(self.settings.seed.to_be_bytes());
        let caller = self.caller;
        digest.update(caller.account_id().unwrap_or(caller.credential()));
        digest.update(self.link("ctx", &skipped.to_string()));
        let digest = URL_SAFE_NO_PAD.encode(digest.finalize());
        format!("{skipped}.{}", digest.get(..16).unwrap_or_default())
    }

    /// The same list with another place in it.
    fn link(&self, name: &str, value: &str) -> String {
        let places = ["page", "ctx"];
        let others = self.parameters.iter();
        let others = others.filter(|(name, _)| !places.contains(name));
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair(name, value)
            .finish();
        format!("http://{}{}?{query}", self.settings.api_host, self.path)
    }
}
