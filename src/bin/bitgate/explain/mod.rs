//! `bitgate explain`: what becomes of a request, and why.

mod address;
mod alone;
mod facts;
mod judge;
mod trace;
mod written;

use std::io::{self, BufRead, Write};

use bitgate::config::Config;

use crate::arguments::{Asked, ExplainOptions, Unset};
use crate::explain::address::Address;
use crate::explain::judge::{Answer, Explanation, Judge};
use crate::finding::Findings;
use crate::input::Input;
use crate::person::Person;
use crate::plugin::Plugin;
use crate::{Outcome, check, complain, configuration};

/// Says what becomes of requests.
pub(crate) fn run(options: &ExplainOptions, out: &mut impl Write) -> io::Result<Outcome> {
    let requests = match &options.asked {
        Asked::One(method, url) => vec![(method.clone(), url.clone())],
        Asked::Lines => match lines(io::stdin().lock()) {
            Ok(requests) => requests,
            Err(message) => return Ok(refuse(&message)),
        },
    };
    let mut outcome = Outcome::Fine;
    let explained = explain(options, &requests, &mut |request, place, explanation| {
        if let Answer::Refused(_) = explanation.answer {
            outcome = Outcome::Problems;
        }
        written::write(out, options.form, (request, place), explanation)
    });
    match explained {
        Ok(written) => written.map(|()| outcome),
        Err(message) => Ok(refuse(&message)),
    }
}

fn refuse(message: &str) -> Outcome {
    complain(message);
    Outcome::Usage
}

/// A method and an address.
type Wanted = (String, String);

/// A request in each line.
fn lines(input: impl BufRead) -> Result<Vec<Wanted>, String> {
    let mut requests = Vec::new();
    for (index, line) in input.lines().enumerate() {
        let line = line.map_err(|error| format!("standard input: {error}"))?;
        let text = line.trim();
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let Some((method, url)) = text.split_once(' ') else {
            let number = index.saturating_add(1);
            return Err(format!(
                "standard input: expected a method and an address in line {number}"
            ));
        };
        requests.push((method.to_owned(), url.trim().to_owned()));
    }
    Ok(requests)
}

type Tell<'t> = dyn FnMut(&Wanted, &str, &Explanation) -> io::Result<()> + 't;

fn explain(
    options: &ExplainOptions,
    requests: &[Wanted],
    tell: &mut Tell<'_>,
) -> Result<io::Result<()>, String> {
    let addresses: Result<Vec<_>, _> = requests.iter().map(|(_, url)| Address::read(url)).collect();
    let addresses = addresses?;
    let person = options.person.as_deref().map(Person::read).transpose()?;
    let input = Input::read(&options.file)
        .map_err(|error| format!("{}: {error}", options.file.to_string_lossy()))?;
    let mut findings = Findings::default();
    let plugins = check::plugins(&input, &mut findings);
    let mut judges = Vec::new();
    for plugin in &plugins {
        let mut read = || configuration::read(plugin, Unset::StandIn, &mut findings);
        // One for the gate, which keeps it, and one to look at.
        if let Some((first, second)) = read().zip(read()) {
            judges.push(Site::new(plugin, (first, second), person.as_ref())?);
        }
    }
    for (request, address) in requests.iter().zip(&addresses) {
        let site = choose(&judges, options, address)?;
        let explanation = site.judge.explain(&request.0, address);
        if let Err(error) = tell(request, site.place, &explanation) {
            return Ok(Err(error));
        }
    }
    Ok(Ok(()))
}

/// One configuration of a file.
struct Site<'a> {
    place: &'a str,
    origin: String,
    public: bitgate::config::PublicOrigin,
    judge: Judge<'a>,
}

impl<'a> Site<'a> {
    fn new(
        plugin: &'a Plugin,
        configs: (Config, Config),
        person: Option<&'a Person>,
    ) -> Result<Self, String> {
        let public = configs.0.public.clone();
        Ok(Self {
            place: &plugin.place.name,
            origin: public.origin.clone(),
            public,
            judge: Judge::new(configs, &plugin.configuration.json, person)?,
        })
    }
}

/// The configuration that is meant: the one that was named, or the only one for the host.
fn choose<'s, 'a>(
    sites: &'s [Site<'a>],
    options: &ExplainOptions,
    address: &Address<'_>,
) -> Result<&'s Site<'a>, String> {
    let is_for_host = |site: &Site<'_>| {
        address
            .authority
            .is_some_and(|authority| site.public.is_authority(authority))
    };
    let mut meant = sites.iter().filter(|site| match &options.place {
        Some(place) => site.place == place,
        None => sites.len() == 1 || is_for_host(site),
    });
    match (meant.next(), meant.next()) {
        (Some(only), None) => Ok(only),
        _ if sites.is_empty() => {
            Err("expected a configuration without errors: see bitgate check".to_owned())
        }
        _ => {
            let names = sites
                .iter()
                .map(|site| format!("\n  {} ({})", site.place, site.origin));
            Err(format!(
                "expected --in with the place of one configuration:{}",
                names.collect::<String>()
            ))
        }
    }
}
