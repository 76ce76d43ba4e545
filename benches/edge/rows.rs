//! All rows.

use std::rc::Rc;

use bitgate_simulator::client::Protocol::{self, Http1, Http2};

use crate::choice::{self, Choice};
use crate::hostile;
use crate::row::{Behind, Row, Traffic, get, with};
use crate::rules::LAST;
use crate::site::{Filter, Plan};
use crate::stage::Stage;

/// Characters of a token: as consumers had them before May 2026, and as they have them since.
pub(crate) const SHORT: usize = 100;
pub(crate) const LONG: usize = 2_600;

pub(crate) fn all(choice: &Choice) -> Vec<Row> {
    let mut rows = vec![bare("bare", Http1)];
    for tokens in [SHORT, LONG] {
        rows.extend(of_people(tokens, choice.sessions));
    }
    if choice::other().is_some() {
        rows.extend([SHORT, LONG].map(of_another_build));
    }
    rows.extend(of_everybody());
    rows.extend(of_pipelines(choice.sessions));
    rows.extend([1, 20, 500].map(of_rules));
    rows.push(bare("h2-bare", Http2));
    for tokens in [SHORT, LONG] {
        rows.extend(over_http2(tokens));
    }
    rows.extend(hostile::rows());
    rows
}

fn row(
    name: impl Into<String>,
    text: &str,
    prepare: impl Fn(&mut Stage) -> Traffic + 'static,
) -> Row {
    Row {
        name: name.into(),
        text: text.to_owned(),
        protocol: Http1,
        native: None,
        prepare: Rc::new(prepare),
    }
}

impl Row {
    fn beside(mut self, native: impl Into<String>) -> Self {
        self.native = Some(native.into());
        self
    }

    fn over(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }
}

fn bare(name: &str, protocol: Protocol) -> Row {
    let prepare = |_: &mut Stage| Traffic {
        plan: Plan::of(Filter::None, SHORT),
        requests: vec![get("/x")],
        status: 200,
        behind: Behind::Whatever,
    };
    row(name, "no filter, no cookie", prepare).over(protocol)
}

/// One session of a site, again and again, sent to another.
fn one_session(
    from: Plan,
    to: Plan,
    path: &'static str,
    behind: Behind,
) -> impl Fn(&mut Stage) -> Traffic {
    many_sessions(from, to, 1, path, behind)
}

/// So many sessions of a site, in turn, sent to another.
fn many_sessions(
    from: Plan,
    to: Plan,
    count: usize,
    path: &'static str,
    behind: Behind,
) -> impl Fn(&mut Stage) -> Traffic {
    move |stage| {
        let jars = stage.sessions(&from, count);
        let requests = jars
            .iter()
            .map(|jar| with(get(path), "cookie", &jar.header(path)));
        Traffic {
            plan: to.clone(),
            requests: requests.collect(),
            status: 200,
            behind,
        }
    }
}

fn bitgate(tokens: usize) -> Plan {
    Plan::of(Filter::Bitgate, tokens)
}

/// A process of its own: what one row leaves in its caches is not for the others.
fn apart(filter: Filter, tokens: usize) -> Plan {
    Plan {
        name: "cold",
        ..Plan::of(filter, tokens)
    }
}

fn of_people(tokens: usize, sessions: usize) -> Vec<Row> {
    let (none, floor) = (
        Plan::of(Filter::None, SHORT),
        Plan::of(Filter::Floor, tokens),
    );
    let (oauth2, bitgate) = (Plan::of(Filter::Oauth2, tokens), bitgate(tokens));
    let (bearer, both) = (Behind::Bearer(tokens), Behind::BearerAndIdentity(tokens));
    let native = format!("oauth2-{tokens}");
    let cold = |filter, behind| {
        let plan = apart(filter, tokens);
        many_sessions(plan.clone(), plan, sessions, "/x", behind)
    };
    let same = |plan: &Plan, path, behind| one_session(plan.clone(), plan.clone(), path, behind);
    vec![
        row(
            format!("bare-cookies-{tokens}"),
            "no filter, with Bitgate's cookies",
            one_session(bitgate.clone(), none.clone(), "/x", Behind::Whatever),
        ),
        row(
            format!("bare-oauth2-cookies-{tokens}"),
            "no filter, with the cookies of oauth2",
            one_session(oauth2.clone(), none, "/x", Behind::Whatever),
        ),
        row(
            format!("floor-{tokens}"),
            "a filter in WebAssembly that decides nothing and makes Bitgate's edits",
            one_session(bitgate.clone(), floor, "/x", both),
        )
        .beside(&native),
        row(
            &native,
            "Envoy's oauth2, one session",
            same(&oauth2, "/x", bearer),
        ),
        row(
            format!("bitgate-{tokens}"),
            "Bitgate, one session, bearer token injected",
            same(&bitgate, "/x", both),
        )
        .beside(&native),
        row(
            format!("bitgate-identity-{tokens}"),
            "Bitgate, one session, identity alone",
            same(&bitgate, "/identity/x", Behind::Identity),
        )
        .beside(&native),
        row(
            format!("oauth2-cold-{tokens}"),
            "Envoy's oauth2, each request another session",
            cold(Filter::Oauth2, bearer),
        ),
        row(
            format!("bitgate-cold-{tokens}"),
            "Bitgate, each request another session",
            cold(Filter::Bitgate, both),
        )
        .beside(format!("oauth2-cold-{tokens}")),
    ]
}

fn of_another_build(tokens: usize) -> Row {
    let plan = Plan::of(Filter::Other, tokens);
    let prepare = one_session(plan.clone(), plan, "/x", Behind::BearerAndIdentity(tokens));
    let text = "another build of Bitgate, one session, bearer token injected";
    row(format!("other-{tokens}"), text, prepare).beside(format!("oauth2-{tokens}"))
}

fn of_everybody() -> Vec<Row> {
    let of = |path: &'static str, status| {
        move |_: &mut Stage| Traffic {
            plan: bitgate(SHORT),
            requests: vec![get(path)],
            status,
            behind: Behind::Whatever,
        }
    };
    vec![
        row(
            "bitgate-public",
            "Bitgate, a public path, no cookie",
            of("/public/x", 200),
        ),
        row(
            "bitgate-refused",
            "Bitgate, no cookie: 401 for a script",
            of("/x", 401),
        ),
    ]
}

fn of_pipelines(count: usize) -> Vec<Row> {
    let of = |filter, count| {
        move |stage: &mut Stage| {
            let plan = match count {
                1 => Plan::of(filter, SHORT),
                _ => apart(filter, SHORT),
            };
            let tokens = stage.step_tokens(&plan, count);
            let request = |token: &String| {
                with(
                    get("/pipelines/x"),
                    "authorization",
                    &format!("Bearer {token}"),
                )
            };
            Traffic {
                requests: tokens.iter().map(request).collect(),
                status: 200,
                behind: match filter {
                    Filter::Bitgate | Filter::Other => Behind::Pipeline,
                    Filter::None => Behind::Whatever,
                    _ => Behind::Bearer(tokens[0].len()),
                },
                plan,
            }
        }
    };
    let jwt_authn = |cached| Filter::JwtAuthn { cached };
    vec![
        row(
            "bare-token",
            "no filter, with a token of a pipeline",
            of(Filter::None, 1),
        ),
        row(
            "jwt-authn",
            "Envoy's jwt_authn (RS256), one token",
            of(jwt_authn(false), 1),
        ),
        row(
            "jwt-authn-cached",
            "the same with its cache on, which is off by default",
            of(jwt_authn(true), 1),
        ),
        row(
            "pipeline",
            "Bitgate, one token of a pipeline",
            of(Filter::Bitgate, 1),
        )
        .beside("jwt-authn"),
        row(
            "jwt-authn-cold",
            "Envoy's jwt_authn, each request another token",
            of(jwt_authn(false), count),
        ),
        row(
            "pipeline-cold",
            "Bitgate, each request another token",
            of(Filter::Bitgate, count),
        )
        .beside("jwt-authn-cold"),
    ]
}

fn of_rules(count: usize) -> Row {
    let plan = Plan {
        rules: count,
        ..bitgate(SHORT)
    };
    let text = match count {
        1 => "Bitgate, one session, 1 rule".to_owned(),
        _ => format!("the same with {count} rules, of which the last is for it"),
    };
    let prepare = one_session(plan.clone(), plan, LAST, Behind::BearerAndIdentity(SHORT));
    row(format!("rules-{count}"), &text, prepare)
}

fn over_http2(tokens: usize) -> Vec<Row> {
    let native = format!("h2-oauth2-{tokens}");
    let bitgate = bitgate(tokens);
    let oauth2 = Plan::of(Filter::Oauth2, tokens);
    let floor = Plan::of(Filter::Floor, tokens);
    let both = Behind::BearerAndIdentity(tokens);
    let rows = vec![
        row(
            format!("h2-floor-{tokens}"),
            "HTTP/2: floor",
            one_session(bitgate.clone(), floor, "/x", both),
        )
        .beside(&native),
        row(
            &native,
            "HTTP/2: Envoy's oauth2, one session",
            one_session(oauth2.clone(), oauth2, "/x", Behind::Bearer(tokens)),
        ),
        row(
            format!("h2-bitgate-{tokens}"),
            "HTTP/2: Bitgate, one session",
            one_session(bitgate.clone(), bitgate, "/x", both),
        )
        .beside(&native),
    ];
    rows.into_iter().map(|row| row.over(Http2)).collect()
}
