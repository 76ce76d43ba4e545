//! Sites that rows need, started when the first one needs them, and who is signed in there.

use crate::browser::Jar;
use crate::site::{Plan, Site};

#[derive(Default)]
pub(crate) struct Stage {
    pub(crate) sites: Vec<Site>,
    jars: Vec<Vec<Jar>>,
    tokens: Vec<String>,
}

impl Stage {
    /// The place of a site.
    pub(crate) fn site(&mut self, plan: &Plan) -> usize {
        if let Some(at) = self.sites.iter().position(|site| site.plan == *plan) {
            return at;
        }
        self.sites.push(Site::start(plan.clone()));
        self.jars.push(Vec::new());
        self.sites.len() - 1
    }

    /// As many sessions at a site.
    pub(crate) fn sessions(&mut self, plan: &Plan, count: usize) -> &[Jar] {
        let at = self.site(plan);
        let jars = &mut self.jars[at];
        let missing = count.saturating_sub(jars.len());
        jars.extend(self.sites[at].sign_in_many(missing));
        &jars[..count]
    }

    /// As many tokens of steps.
    pub(crate) fn step_tokens(&mut self, plan: &Plan, count: usize) -> &[String] {
        let at = self.site(plan);
        let missing = count.saturating_sub(self.tokens.len());
        self.tokens.extend(self.sites[at].step_tokens(missing));
        &self.tokens[..count]
    }
}
