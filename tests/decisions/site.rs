//! People and workspaces by chance, and the configuration without its rules.

use bitgate_simulator::bitbucket::{
    AccessToken, AccessTokenKind, Bitbucket, Directory, Email, Group, Permission, Person, Project,
    Repository, Role, Settings, Workspace,
};
use serde_json::{Value, json};

use crate::draw::Draw;
use crate::programs::{Program, issuers};

/// What tokens may, by the time of the sign-in: the consumer is changed in between.
pub const SCOPES: [&[&str]; 5] = [
    &["account", "repository"],
    &["account", "email", "repository:write"],
    &["account:write", "pullrequest:write", "project"],
    &["account", "project", "webhook", "pipeline:variable"],
    &["account", "repository", "repository:admin", "issue:write"],
];

/// Slugs of the workspaces that a rule can name, and those they have now: `taken` was given up and
/// belongs to another one, `moved` leads nowhere.
pub const NAMED: [(&str, &str); 5] = [
    ("acme", "acme"),
    ("beta-labs", "beta-labs"),
    ("gamma_2", "gamma_2"),
    ("taken", "taken-before"),
    ("moved", "moved-now"),
];

/// Slugs that nothing is pinned to.
pub const OTHERS: [&str; 2] = ["taken", "open"];

const REPOSITORIES: [(&str, &str); 6] = [
    ("widgets", "WID"),
    ("gad.gets", "WID"),
    ("web_site", "WID"),
    ("secrets", "OPS"),
    ("tools-2", "OPS"),
    ("x", "X_1"),
];

pub const PROJECTS: [&str; 3] = ["WID", "OPS", "X_1"];

/// Repositories whose slugs moved: the workspace, the slug that rules know, whether another has it.
const MOVED_REPOSITORIES: [(&str, &str, bool); 3] = [
    ("acme", "legacy", true),
    ("acme", "renamed", false),
    ("beta-labs", "legacy", true),
];

pub const GROUPS: [&str; 3] = ["deployers", "ops.team", "nobody-in-it"];

/// The bot that administers `acme`.
pub const BOT: &str = "ATCTT3xFfGN0-canary-bot-token";

/// The bot whose token rules pass on.
pub const DEPLOYER: &str = "ATCTT3xFfGN0-canary-deployer-token";

pub fn uuid(kind: u8, number: usize) -> String {
    format!("{{{kind:02x}aa{number:04x}-1111-4222-8333-444455556666}}")
}

/// How the configuration knows workspaces and rights.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `workspaces` and `repositories` have the UUIDs; people ask with their own tokens; groups are lists.
    Pinned,
    /// One workspace, and a bot that asks about it and its groups. Nothing is pinned.
    WithBot,
}

/// Bitbucket, and what the reference and the configuration say of it.
pub struct Site {
    pub form: Form,
    pub settings: Settings,
    /// Who brings a token. Where there are any, rules are about them and about git, too.
    pub programs: Vec<Program>,
    groups: Vec<(String, Vec<String>)>,
}

impl Site {
    pub fn new(form: Form, people: usize, programs: usize, draw: &mut Draw) -> Self {
        let mut settings = Settings {
            people: (0..people).map(|number| person(number, draw)).collect(),
            directory: Directory::default(),
            access_tokens: vec![AccessToken {
                token: BOT.to_owned(),
                kind: AccessTokenKind::Workspace,
                workspace: uuid(0x10, 0),
                scopes: ["account", "repository", "project"]
                    .map(str::to_owned)
                    .to_vec(),
                is_admin: true,
                expires_at: None,
                api_limit: None,
            }],
            api_limit: None,
            token_length: Some(120),
            ..Settings::default()
        };
        let slugs = NAMED.iter().map(|(_, slug)| *slug).chain(OTHERS);
        let slugs: Vec<&str> = match form {
            Form::Pinned => slugs.collect(),
            Form::WithBot => vec!["acme"],
        };
        for (number, slug) in slugs.into_iter().enumerate() {
            workspace(&mut settings, number, slug, draw);
        }
        let ids = |draw: &mut Draw, settings: &Settings, percent| -> Vec<String> {
            let people = settings.people.iter();
            let some = people.filter(|_| draw.is_one_of_100(percent));
            some.map(|person| person.account_id.clone()).collect()
        };
        let mut groups: Vec<(String, Vec<String>)> = Vec::new();
        for (name, percent) in [(GROUPS[0], 50), (GROUPS[1], 15)] {
            groups.push((name.to_owned(), ids(draw, &settings, percent)));
        }
        groups.push((GROUPS[2].to_owned(), vec!["557058:nobody-here".to_owned()]));
        if form == Form::WithBot {
            // The first is the workspace's, the others are the configuration's.
            let (slug, members) = groups.remove(0);
            let name = slug.clone();
            let group = Group {
                name,
                slug,
                members,
            };
            settings.directory.set_group("acme", group).unwrap();
        }
        Self {
            form,
            settings,
            programs: Program::some(form, programs, draw),
            groups,
        }
    }

    /// The scopes of a person's token.
    pub fn scopes_of(&self, person: usize) -> usize {
        person % SCOPES.len()
    }

    /// The configuration of the demo, for this site and without rules.
    pub fn configure(&self, config: &mut Value) {
        config["bitbucket"]["scopes"] = json!(["account", "repository"]);
        config["bitbucket"]["api_budget"] = json!(100_000);
        config["rights"] = json!({"max_age": "24h", "grace": "24h"});
        let groups: serde_json::Map<String, Value> = self
            .groups
            .iter()
            .map(|(name, ids)| (name.clone(), json!(ids)))
            .collect();
        match self.form {
            Form::Pinned => {
                let pins = NAMED.iter().enumerate();
                let pins =
                    pins.map(|(number, (slug, _))| ((*slug).to_owned(), uuid(0x10, number).into()));
                config["workspaces"] = pins.collect::<serde_json::Map<_, Value>>().into();
                let mut repositories = serde_json::Map::new();
                repositories.insert("acme/widgets".to_owned(), repository_uuid(0, 0).into());
                for (place, (workspace, slug, _)) in MOVED_REPOSITORIES.iter().enumerate() {
                    let uuid = uuid(0x40, place);
                    repositories.insert(format!("{workspace}/{slug}"), uuid.into());
                }
                config["repositories"] = repositories.into();
                config["groups"] = groups.into();
            }
            Form::WithBot => {
                config["bots"] =
                    json!({"reader": {"access_token": {"inline": BOT}, "api_budget": 100_000}});
                config["rights"]["bot"] = json!("reader");
                config["groups"] = json!({"source": "bitbucket", "workspace": "acme", "bot": "reader", "members": groups});
            }
        }
        if !self.programs.is_empty() && self.form == Form::WithBot {
            // A name that is pinned goes before what the bot finds.
            let pins = [
                ("acme/widgets", repository_uuid(0, 0)),
                ("acme/legacy", uuid(0x40, 0)),
            ];
            for (path, uuid) in pins {
                config["repositories"][path] = json!(uuid);
            }
        }
        if !self.programs.is_empty() {
            config["issuers"] = issuers(self.form);
            config["bots"]["deployer"] = json!({"access_token": {"inline": DEPLOYER}});
        }
    }

    /// What the tokens of programs say.
    pub fn export_programs(&self) -> Value {
        let mut bitbucket = Bitbucket::new(self.settings.clone());
        let programs = self.programs.iter();
        programs
            .map(|program| program.claims(0, &mut bitbucket))
            .collect()
    }

    /// What the reference is told of Bitbucket: the simulator's own data.
    pub fn export(&self) -> (Value, Value) {
        let directory = &self.settings.directory;
        let people = || self.settings.people.iter().map(|person| &person.account_id);
        let emails = |person: &Person| -> Vec<Value> {
            let emails = person.emails.iter();
            emails
                .map(|email| json!({"email": email.email, "is_primary": email.is_primary, "is_confirmed": email.is_confirmed}))
                .collect()
        };
        let exported: Vec<Value> = self
            .settings
            .people
            .iter()
            .map(|person| json!({"account_id": person.account_id, "emails": emails(person)}))
            .collect();
        let workspaces: Vec<Value> = directory
            .workspaces()
            .map(|workspace| {
                let uuid = &workspace.uuid;
                let members: serde_json::Map<String, Value> = people()
                    .filter_map(|id| Some((id.clone(), directory.role_of(id, uuid)?.as_str().into())))
                    .collect();
                let repositories: Vec<Value> = directory
                    .repositories(uuid)
                    .map(|repository| {
                        let permission = |id: &String| directory.permission_of(id, uuid, &repository.uuid);
                        let permissions: serde_json::Map<String, Value> = people()
                            .filter_map(|id| Some((id.clone(), permission(id)?.as_str().into())))
                            .collect();
                        json!({"slug": repository.slug, "uuid": repository.uuid, "project": repository.project, "permissions": permissions})
                    })
                    .collect();
                let mut groups = serde_json::Map::new();
                for id in people() {
                    let theirs = directory.groups_of(id).into_iter();
                    for (_, group) in theirs.filter(|(slug, _)| *slug == workspace.slug) {
                        let members = groups.entry(group).or_insert_with(|| json!([]));
                        members.as_array_mut().unwrap().push(id.as_str().into());
                    }
                }
                json!({"slug": workspace.slug, "uuid": uuid, "members": members, "repositories": repositories, "groups": groups})
            })
            .collect();
        (exported.into(), workspaces.into())
    }
}

fn person(number: usize, draw: &mut Draw) -> Person {
    let mut emails: Vec<Email> = Vec::new();
    let mut email = |domain: &str, is_primary, is_confirmed| {
        emails.push(Email {
            email: format!("person{number}@{domain}"),
            is_primary,
            is_confirmed,
        });
    };
    match draw.below(10) {
        0 => {}
        1 => email("example.com", true, false),
        2 => {
            email("example.com", false, true);
            email("example.net", true, false);
        }
        3 => {
            email("example.com", false, true);
            email("example.net", true, true);
        }
        4 => email("sub.example.com", true, true),
        5 => email("EXAMPLE.com", true, true),
        6 => email("example.com.evil.test", true, true),
        7 => email("example.com.", true, true),
        _ => email("example.com", true, true),
    }
    Person {
        account_id: format!("557058:{number:08}-ada0-4c0d-8e1f-b17b0c4e7000"),
        uuid: uuid(0x70, number),
        // Not unique, and nothing may depend on it.
        nickname: format!("person{}", number % 7),
        display_name: format!("Person {number}"),
        emails,
    }
}

fn repository_uuid(workspace: usize, place: usize) -> String {
    uuid(0x30, workspace * 16 + place)
}

fn workspace(settings: &mut Settings, number: usize, slug: &str, draw: &mut Draw) {
    let directory = &mut settings.directory;
    let id = uuid(0x10, number);
    directory
        .add_workspace(Workspace {
            uuid: id.clone(),
            slug: slug.to_owned(),
            name: slug.to_uppercase(),
        })
        .unwrap();
    for (place, key) in PROJECTS.iter().enumerate() {
        let project = Project {
            uuid: uuid(0x20, number * 16 + place),
            key: (*key).to_owned(),
            name: (*key).to_owned(),
        };
        directory.set_project(&id, project).unwrap();
    }
    let mut add = |uuid: String, slug: &str, project: &str, is_private| {
        let repository = Repository {
            uuid,
            slug: slug.to_owned(),
            project: project.to_owned(),
            is_private,
        };
        directory.add_repository(&id, repository).unwrap();
    };
    for (place, (name, project)) in REPOSITORIES.iter().enumerate() {
        let uuid = repository_uuid(number, place);
        add(uuid, name, project, draw.is_one_of_100(70));
    }
    for (place, (workspace, name, is_taken)) in MOVED_REPOSITORIES.iter().enumerate() {
        if *workspace == slug {
            add(uuid(0x40, place), &format!("{name}-now"), "OPS", true);
            if *is_taken {
                add(uuid(0x50, place), name, "OPS", true);
            }
        }
    }
    let repositories: Vec<String> = directory
        .repositories(&id)
        .map(|repository| repository.uuid.clone())
        .collect();
    for person in &settings.people {
        let account = &person.account_id;
        let role = match draw.below(10) {
            0..3 => None,
            3..8 => Some(Role::Member),
            8 => Some(Role::Owner),
            _ => Some(Role::Collaborator),
        };
        if role == Some(Role::Member) || role == Some(Role::Owner) {
            directory.set_role(&id, account, role).unwrap();
        }
        if role.is_none() {
            continue;
        }
        for repository in &repositories {
            let permission = match draw.below(8) {
                0..3 => Permission::Read,
                3..5 => Permission::Write,
                5 => Permission::Admin,
                _ => continue,
            };
            let permission = Some(permission);
            directory
                .set_permission(&id, repository, account, permission)
                .unwrap();
        }
    }
}
