//! `/site/oauth2/authorize`: a page that asks who you are and whether you agree.

use crate::bitbucket::Bitbucket;
use crate::bitbucket::grants::Code;
use crate::bitbucket::ledger::Entry;
use crate::bitbucket::parameters::Parameters;
use crate::bitbucket::settings::Consumer;
use crate::html::{escape, page};
use crate::{Request, Response, header, response};

const FORM: &str = "application/x-www-form-urlencoded";

impl Bitbucket {
    pub(super) fn authorize(&mut self, now: u64, request: &Request, entry: &mut Entry) -> Response {
        let read = match *request.method() {
            http::Method::GET => Parameters::read(request.uri().query().unwrap_or("").as_bytes()),
            http::Method::POST if header(request, "content-type") == Some(FORM) => {
                Parameters::read(request.body())
            }
            http::Method::POST => return misconfigured("Expected a form"),
            _ => return response(405, "text/html", "<h1>Method not allowed</h1>"),
        };
        let Ok(parameters) = read else {
            return misconfigured("A parameter is there twice");
        };
        let client_id = parameters.get("client_id");
        entry.client_id = client_id.map(str::to_owned);
        let consumer = self
            .settings
            .consumers
            .iter()
            .find(|c| Some(c.client_id.as_str()) == client_id);
        let Some(consumer) = consumer.cloned() else {
            return misconfigured("Invalid client_id");
        };
        let redirect_uri = parameters.get("redirect_uri");
        let Some(target) = redirect_target(&consumer, redirect_uri) else {
            return misconfigured("Invalid redirect_uri");
        };
        let state = parameters.get("state");
        // From here on errors go back to the client (RFC 6749 section 4.1.2.1).
        if parameters.get("response_type") != Some("code") {
            return send_back(&target, state, &[("error", "unsupported_response_type")]);
        }
        let unknown = parameters.get("scope").and_then(|scopes| {
            scopes
                .split(' ')
                .find(|scope| !consumer.scopes.iter().any(|known| known == scope))
        });
        if let Some(scope) = unknown {
            let description = format!("Unknown scope: {scope}");
            let error = [
                ("error", "invalid_scope"),
                ("error_description", &description),
            ];
            return send_back(&target, state, &error);
        }
        let challenge = parameters.get("code_challenge");
        if challenge.is_some() && parameters.get("code_challenge_method") != Some("S256") {
            return send_back(&target, state, &[("error", "invalid_request")]);
        }
        if *request.method() == http::Method::GET {
            return response(
                200,
                "text/html; charset=utf-8",
                self.question(&consumer, &parameters),
            );
        }
        let account = parameters.get("account").unwrap_or_default();
        let Some(person) = self
            .settings
            .people
            .iter()
            .find(|p| p.account_id == account)
        else {
            return misconfigured("Choose an account");
        };
        entry.account_id = Some(person.account_id.clone());
        match parameters.get("decision") {
            Some("grant") => {
                let code = self.grants.new_code(Code {
                    client_id: consumer.client_id.clone(),
                    account_id: person.account_id.clone(),
                    redirect_uri: redirect_uri.map(str::to_owned),
                    challenge: challenge.map(str::to_owned),
                    issued_at: now,
                    used_for: None,
                });
                send_back(&target, state, &[("code", &code)])
            }
            Some("deny") => {
                let description = "The user denied access to the application.";
                let error = [
                    ("error", "access_denied"),
                    ("error_description", description),
                ];
                send_back(&target, state, &error)
            }
            _ => misconfigured("Grant or deny"),
        }
    }

    fn question(&self, consumer: &Consumer, parameters: &Parameters) -> String {
        let asked = ["account", "decision"];
        let hidden: String = parameters
            .iter()
            .filter(|(name, _)| !asked.contains(name))
            .map(|(name, value)| {
                let (name, value) = (escape(name), escape(value));
                format!("<input type=\"hidden\" name=\"{name}\" value=\"{value}\">\n")
            })
            .collect();
        let people: String = self.settings.people.iter().enumerate().map(|(index, person)| {
            let checked = if index == 0 { " checked" } else { "" };
            let (id, name) = (escape(&person.account_id), escape(&person.display_name));
            format!("<label><input type=\"radio\" name=\"account\" value=\"{id}\"{checked}> {name}</label>\n")
        }).collect();
        let scopes = escape(&consumer.scopes.join(", "));
        let client = escape(&consumer.client_id);
        let body = format!(
            "<p><strong>{client}</strong> wants to see who you are. It asks for: {scopes}.</p>\n\
             <form method=\"post\" action=\"/site/oauth2/authorize\">\n{hidden}\
             <fieldset><legend>Sign in as</legend>\n{people}</fieldset>\n\
             <button name=\"decision\" value=\"grant\">Grant access</button>\
             <button name=\"decision\" value=\"deny\">Deny</button>\n</form>\n\
             <p><small>This is a simulator in the place of Bitbucket. Nobody needs a password here.</small></p>"
        );
        page("Confirm access to your account", &body)
    }
}

/// Bitbucket takes the registered URL or that URL with a suffix; the registered one if none is
/// sent.
fn redirect_target(consumer: &Consumer, redirect_uri: Option<&str>) -> Option<String> {
    let registered = consumer.callback.as_str();
    let Some(wanted) = redirect_uri else {
        return Some(registered.to_owned());
    };
    let suffix = wanted.strip_prefix(registered)?;
    let plain = suffix.is_empty() || suffix.starts_with(['/', '?']);
    // A fragment is never part of a redirection endpoint (RFC 6749 section 3.1.2).
    (plain && !wanted.contains('#')).then(|| wanted.to_owned())
}

fn send_back(target: &str, state: Option<&str>, parameters: &[(&str, &str)]) -> Response {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(parameters);
    if let Some(state) = state {
        query.append_pair("state", state);
    }
    let separator = if target.contains('?') { '&' } else { '?' };
    let location = format!("{target}{separator}{}", query.finish());
    let mut answer = response(302, "text/html", "");
    if let Ok(value) = location.parse() {
        answer.headers_mut().insert("location", value);
    }
    answer
}

/// The page that a person sees; never a redirect, since nobody knows where to.
fn misconfigured(what: &str) -> Response {
    let body = format!(
        "<p>{}.</p><p>This integration is misconfigured. Contact the vendor for assistance.</p>",
        escape(what)
    );
    response(400, "text/html; charset=utf-8", page("Error", &body))
}
