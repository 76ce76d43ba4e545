//! Requests by chance, near the rules: what people who use a site ask for, and its edges.

use serde_json::{Value, json};

use crate::draw::Draw;
use crate::git;
use crate::programs::Program;
use crate::site::{NAMED, OTHERS, PROJECTS, Site, uuid};

/// Who sends a request.
#[derive(Clone, Copy, Debug)]
pub struct Sender {
    /// Whose session it has.
    pub person: Option<usize>,
    /// Whose token it has, and how: where there is one, the session does not count.
    pub program: Option<(usize, Brought)>,
}

#[derive(Clone, Copy, Debug)]
pub enum Brought {
    Bearer,
    /// As the password of `x-token-auth`, which is how git has it.
    Password,
}

/// One request.
#[derive(Debug)]
pub struct Row {
    pub sender: Sender,
    pub method: &'static str,
    pub path: String,
    /// Whether a browser opens a page.
    pub page: bool,
}

const METHODS: [&str; 10] = [
    "GET", "GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND",
];

const TAILS: [&str; 6] = ["", "/", "/x", "/info/refs", "/a/b/c.txt", "/x%20y"];

const RAW_TAILS: [&str; 9] = [
    "/@a%2fb",
    "/x;v=1",
    "/x;v=1/y",
    "/a%2Fb%2Fc",
    "/x%3Bv",
    "/private%2fx",
    "/x%2f..%2fy",
    "/x%2f/y",
    "/b/c;x%2Fy",
];

impl Row {
    pub fn to_json(&self, site: &Site) -> Value {
        let Sender { person, program } = self.sender;
        let scopes = person.map_or(0, |person| site.scopes_of(person));
        let program = program.map(|(program, _)| program);
        json!({"person": person, "program": program, "scopes": scopes, "method": self.method, "path": self.path, "page": self.page})
    }
}

/// Somebody, or nobody, with one of their credentials.
pub fn sender(site: &Site, number: usize, draw: &mut Draw) -> Sender {
    let people = site.settings.people.len();
    let nobody = if site.programs.is_empty() { 7 } else { 14 };
    let person = (!draw.is_one_of_100(nobody)).then_some(number % people);
    if number < people {
        let program = None;
        return Sender { person, program };
    }
    let brought = match (site.programs[number - people].kind(), draw.below(2)) {
        ("pipeline", 0) => Brought::Password,
        _ => Brought::Bearer,
    };
    Sender {
        person: person.filter(|_| draw.is_one_of_100(10)),
        program: Some((number - people, brought)),
    }
}

/// A request of somebody for something that one of the rules is about.
pub fn row(rules: &[Value], site: &Site, sender: Sender, draw: &mut Draw) -> Row {
    let program = sender.program.map(|(program, _)| &site.programs[program]);
    // Most steps ask for what is theirs.
    let home = program.and_then(Program::home);
    let home = home.filter(|_| draw.is_one_of_100(70)).unzip();
    let matched = &rules[draw.below(rules.len())]["match"];
    let paths = matched["paths"]
        .as_array()
        .map_or(std::slice::from_ref(&matched["path"]), Vec::as_slice);
    let template = paths[draw.below(paths.len())].as_str().unwrap();
    let mut path = template.trim_end_matches("/**").to_owned();
    for name in ["workspace", "repo", "key", "any"] {
        let value = match name {
            "workspace" => home.0.map_or_else(|| workspace(draw), str::to_owned),
            "repo" => home.1.map_or_else(|| repository(draw), str::to_owned),
            "key" => draw
                .one(&["WID", "OPS", "X_1", "wid", "NONE", "1WID"])
                .to_owned(),
            _ => "anything".to_owned(),
        };
        path = path.replace(&format!("{{{name}}}"), &value);
    }
    if template.ends_with("/**") {
        let is_raw = matched["tail"] == "raw" || draw.is_one_of_100(10);
        match is_raw && draw.is_one_of_100(60) {
            true => path.push_str(draw.one(&RAW_TAILS)),
            false => path.push_str(draw.one(&TAILS)),
        }
    }
    if path.is_empty() {
        path.push('/');
    }
    let methods = matched["methods"].as_array();
    let mut method = METHODS[draw.below(METHODS.len())];
    let mut changes = 22;
    if !matched["git"].is_null() || (!site.programs.is_empty() && draw.is_one_of_100(20)) {
        (method, path) = git::request(path.trim_end_matches('/'), &matched["git"], draw);
        changes = 8;
    } else if let Some(methods) = methods.filter(|_| draw.is_one_of_100(70)) {
        let wanted = &methods[draw.below(methods.len())];
        method = METHODS.into_iter().find(|known| wanted == known).unwrap();
    }
    if draw.is_one_of_100(changes) {
        path = changed(&path, draw);
    }
    let page = matches!(method, "GET" | "HEAD") && draw.is_one_of_100(50);
    Row {
        sender,
        method,
        path,
        page,
    }
}

fn workspace(draw: &mut Draw) -> String {
    let number = draw.below(NAMED.len());
    match draw.below(20) {
        0 => encoded(&uuid(0x10, number)),
        1 => encoded(&uuid(0x10, number)).to_uppercase(),
        2 => uuid(0x10, number).replace(['{', '}'], ""),
        3 => "made-up".to_owned(),
        4 => draw
            .one(&[
                "ACME",
                "acme%20",
                "ac.me",
                "acme%00",
                "%7Bacme%7D",
                "a%C3%A9",
            ])
            .to_owned(),
        5 => draw.one(&OTHERS).to_owned(),
        6 => NAMED[number].1.to_owned(),
        7..12 => "acme".to_owned(),
        _ => NAMED[number].0.to_owned(),
    }
}

fn repository(draw: &mut Draw) -> String {
    match draw.below(16) {
        0 => encoded(&uuid(0x30, draw.below(3) * 16 + draw.below(6))),
        1 => draw
            .one(&["Widgets", "widgets%20", "no-such", "..", "...", "%77idgets"])
            .to_owned(),
        2 => draw
            .one(&["legacy", "legacy-now", "renamed", "renamed-now"])
            .to_owned(),
        3 => "secrets".to_owned(),
        4 => "tools-2".to_owned(),
        5 => "x".to_owned(),
        6..9 => "gad.gets".to_owned(),
        9 => "web_site".to_owned(),
        _ => "widgets".to_owned(),
    }
}

fn encoded(uuid: &str) -> String {
    uuid.replace('{', "%7B").replace('}', "%7d")
}

/// The path in another spelling, or nearly so.
fn changed(path: &str, draw: &mut Draw) -> String {
    // Envoy itself refuses what does not begin with a slash.
    let (head, tail) = path.split_at(1 + draw.below(path.len()));
    let segments: Vec<&str> = path.split('/').collect();
    let keep = 1 + draw.below(segments.len());
    let insert = |text: &str| format!("{head}{text}{tail}");
    match draw.below(22) {
        0 => format!("{path}/"),
        1 => path.to_uppercase(),
        2 => insert("/"),
        3 => insert("/./"),
        4 => format!("{path}/../x"),
        5 => format!("{path};x=1"),
        6 => insert(";"),
        7 => insert("%2f"),
        8 => insert("%5c"),
        9 => insert("%00"),
        10 => format!("{path}?x=/../;%2f"),
        11 => format!("{path}%23x"),
        12 => format!("{path}%3fx"),
        13 => format!("{path}%252e%252e"),
        14 => insert("%c3%a9"),
        15 => insert("%ff"),
        16 => format!("{}/", segments[..keep].join("/")),
        17 => format!("{path}/more"),
        18 => insert("/..%20/"),
        19 => insert("/%ef%bc%8e./x"),
        20 => insert("%ef%bc%9a"),
        // Any character that needs no encoding, encoded.
        _ => match tail
            .chars()
            .next()
            .filter(|c| c.is_ascii_alphanumeric() || *c == '-')
        {
            Some(c)
                if !head.ends_with('%')
                    && !head
                        .get(head.len().saturating_sub(2)..)
                        .is_some_and(|end| end.starts_with('%')) =>
            {
                format!("{head}%{:02x}{}", u32::from(c), &tail[1..])
            }
            Some(_) | None => format!("/{}", PROJECTS[0]),
        },
    }
}
