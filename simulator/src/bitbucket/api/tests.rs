use serde_json::json;

use std::sync::Arc;

use super::*;
use crate::bitbucket::grants::Subject;
use crate::bitbucket::tests::{authorize, exchange, location};
use crate::bitbucket::{
    AccessTokenKind, Fault, FaultResponse, Paging, Permission, Repository, Role, Settings, Usage,
    Workspace,
};

const API: &str = "127.0.0.1:10002";
const BOT: &str = "Bearer ATCTT3xFfGN0-demo-workspace-token";
const ACME: &str = "%7B77aa0000-1111-4222-8333-444455556666%7D";
const WIDGETS: &str = "{99cc0000-1111-4222-8333-444455556666}";
const ADA: &str = "557058:00000001-ada0-4c0d-8e1f-b17b0c4e7000";
const GRACE: &str = "557058:00000002-ada0-4c0d-8e1f-b17b0c4e7000";
const LINUS: &str = "557058:00000003-ada0-4c0d-8e1f-b17b0c4e7000";

/// A Bitbucket, and who asks it.
struct World {
    bitbucket: Bitbucket,
    now: u64,
}

fn world(change: impl FnOnce(&mut Settings)) -> World {
    let mut settings = Settings::default();
    change(&mut settings);
    World {
        bitbucket: Bitbucket::new(settings),
        now: 1_000_000,
    }
}

impl World {
    /// The value of an `Authorization` field for a person.
    fn sign_in(&mut self, account_id: &str) -> String {
        let changes = [("account", Some(account_id))];
        let answer = authorize(&mut self.bitbucket, self.now, &changes);
        let code = location(&answer).split("code=").nth(1).unwrap();
        let code = code.split('&').next().unwrap().to_owned();
        let (_, document) = exchange(&mut self.bitbucket, self.now, &code);
        format!("Bearer {}", document["access_token"].as_str().unwrap())
    }

    fn send(&mut self, bearer: &str, target: &str) -> Response {
        let request = http::Request::get(target)
            .header("host", API)
            .header("authorization", bearer);
        let request = request.body(Vec::new()).unwrap();
        self.bitbucket.handle(self.now, &request)
    }

    fn status(&mut self, bearer: &str, target: &str) -> u16 {
        self.send(bearer, target).status().as_u16()
    }

    fn read(&mut self, bearer: &str, target: &str) -> Value {
        let answer = self.send(bearer, target);
        assert_eq!(answer.status(), 200, "{target}");
        serde_json::from_slice(answer.body()).unwrap()
    }

    fn error(&mut self, bearer: &str, target: &str) -> (u16, Value) {
        let answer = self.send(bearer, target);
        let document: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(document["type"], "error", "{target}");
        (answer.status().as_u16(), document["error"].clone())
    }

    /// What the rows of a list have at a pointer.
    fn column(&mut self, bearer: &str, target: &str, pointer: &str) -> Vec<String> {
        let document = self.read(bearer, target);
        let rows = document["values"].as_array().unwrap().iter();
        rows.map(|row| text(row.pointer(pointer).unwrap()))
            .collect()
    }

    /// Follows `next`, and says how many pages there were.
    fn all(&mut self, bearer: &str, target: &str, pointer: &str) -> (usize, Vec<String>) {
        let (mut pages, mut found) = (0, Vec::new());
        let mut target = Some(target.to_owned());
        while let Some(here) = target {
            let document = self.read(bearer, &here);
            let rows = document["values"].as_array().unwrap().iter();
            found.extend(rows.map(|row| text(row.pointer(pointer).unwrap())));
            pages += 1;
            target = document["next"].as_str().map(|next| {
                let prefix = format!("http://{API}");
                next.strip_prefix(&prefix).unwrap().to_owned()
            });
        }
        (pages, found)
    }
}

fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

fn keys(value: &Value) -> Vec<&str> {
    // In whatever order the JSON library keeps them.
    let mut names: Vec<&str> = value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect();
    names.sort_unstable();
    names
}

#[test]
fn the_workspaces_of_a_caller_have_those_it_collaborates_in() {
    let mut world = world(|_| {});
    let list = "/2.0/user/workspaces";
    for (account_id, slugs, administrator) in [
        (ADA, vec!["acme"], vec!["true"]),
        (GRACE, vec!["acme", "beta-labs"], vec!["false", "true"]),
        (LINUS, vec!["acme"], vec!["false"]),
    ] {
        let bearer = world.sign_in(account_id);
        assert_eq!(world.column(&bearer, list, "/workspace/slug"), slugs);
        assert_eq!(world.column(&bearer, list, "/administrator"), administrator);
    }
    let grace = world.sign_in(GRACE);
    let administered = format!("{list}?administrator=true");
    assert_eq!(
        world.column(&grace, &administered, "/workspace/slug"),
        ["beta-labs"]
    );
    assert_eq!(
        world.status(&grace, &format!("{list}?administrator=yes")),
        400
    );
    assert_eq!(
        world.status(&grace, &format!("{list}?q=workspace.slug%3D%22acme%22")),
        400
    );
    let row = &world.read(&grace, list)["values"][0];
    assert_eq!(keys(row), ["administrator", "type", "workspace"]);
    assert_eq!(
        (&row["type"], &row["workspace"]["type"]),
        (&json!("workspace_access"), &json!("workspace_base"))
    );
}

#[test]
fn a_caller_learns_its_role_by_slug_and_by_uuid() {
    let mut world = world(|_| {});
    for (account_id, role) in [(ADA, "owner"), (GRACE, "member"), (LINUS, "collaborator")] {
        let bearer = world.sign_in(account_id);
        for name in ["acme", ACME] {
            let document = world.read(&bearer, &format!("/2.0/user/workspaces/{name}/permission"));
            assert_eq!(document["permission"], role);
            assert_eq!(document["user"]["account_id"], account_id);
            assert_eq!(document["workspace"]["slug"], "acme");
            let expected = ["links", "permission", "type", "user", "workspace"];
            assert_eq!(keys(&document), expected);
        }
    }
    world.bitbucket.settings.row_account_ids = false;
    let ada = world.sign_in(ADA);
    let document = world.read(&ada, "/2.0/user/workspaces/acme/permission");
    assert_eq!(document["user"].get("account_id"), None);
    assert_eq!(
        document["user"]["uuid"],
        "{00000001-1111-4222-8333-444444444444}"
    );
}

#[test]
fn strangers_are_told_one_of_two_things() {
    let mut world = world(|_| {});
    let ada = world.sign_in(ADA);
    let paths = [
        "/2.0/user/workspaces/NAME/permission",
        "/2.0/user/workspaces/NAME/permissions/repositories",
        "/2.0/workspaces/NAME",
        "/2.0/workspaces/NAME/permissions",
        "/2.0/workspaces/NAME/permissions/repositories",
        "/1.0/groups/NAME",
    ];
    for path in paths {
        let at = |name: &str| path.replace("NAME", name);
        world.bitbucket.settings.non_member = NonMember::Forbidden;
        assert_eq!(world.status(&ada, &at("beta-labs")), 403, "{path}");
        let missing = world.error(&ada, &at("nobody"));
        assert_eq!(
            missing,
            (
                404,
                json!({"message": "No workspace with identifier 'nobody'."})
            )
        );
        // A name in other letters is another name.
        for name in [
            "ACME",
            "acme%20",
            "%7B77AA0000-1111-4222-8333-444455556666%7D",
            "77aa0000-1111-4222-8333-444455556666",
        ] {
            assert_eq!(world.status(&ada, &at(name)), 404, "{path} {name}");
        }
        world.bitbucket.settings.non_member = NonMember::NotFound;
        let (status, error) = world.error(&ada, &at("beta-labs"));
        assert_eq!(
            (status, &error["message"]),
            (404, &json!("No workspace with identifier 'beta-labs'."))
        );
    }
}

#[test]
fn braces_and_quotes_must_be_encoded() {
    let mut world = world(|_| {});
    let ada = world.sign_in(ADA);
    let raw = "/2.0/user/workspaces/{77aa0000-1111-4222-8333-444455556666}/permission";
    assert_eq!(world.status(&ada, raw), 400);
    let list = "/2.0/user/workspaces/acme/permissions/repositories";
    assert_eq!(
        world.status(&ada, &format!("{list}?q=repository.uuid%3D%22{{99cc}}%22")),
        400
    );
    assert_eq!(
        world.status(&ada, &format!("{list}?q=repository.uuid=%22%7B99cc%7D%22")),
        200
    );
}

#[test]
fn a_caller_learns_its_explicit_permissions() {
    let mut world = world(|_| {});
    let list = "/2.0/user/workspaces/acme/permissions/repositories";
    let name = "/repository/full_name";
    let linus = world.sign_in(LINUS);
    // Not that he may read the public website.
    assert_eq!(world.column(&linus, list, name), ["acme/widgets"]);
    assert_eq!(world.column(&linus, list, "/permission"), ["read"]);
    let grace = world.sign_in(GRACE);
    assert_eq!(
        world.column(&grace, list, name),
        ["acme/widgets", "acme/gadgets", "acme/website"]
    );
    for (query, names) in [
        (
            "repository.full_name=\"acme/widgets\"",
            vec!["acme/widgets"],
        ),
        ("repository.full_name=\"acme/secrets\"", vec![]),
        ("repository.name=\"gadgets\"", vec!["acme/gadgets"]),
        (
            &format!("repository.uuid=\"{WIDGETS}\""),
            vec!["acme/widgets"],
        ),
        ("permission>\"read\"", vec!["acme/widgets", "acme/website"]),
        ("permission=\"read\"", vec!["acme/gadgets"]),
        ("permission=\"admin\"", vec![]),
    ] {
        let target = format!("{list}?q={}", encode(query));
        assert_eq!(world.column(&grace, &target, name), names, "{query}");
    }
    for query in ["user.account_id=\"x\"", "permission>\"owner\"", "nonsense"] {
        let (status, error) = world.error(&grace, &format!("{list}?q={}", encode(query)));
        assert_eq!((status, keys(&error)), (400, vec!["message"]));
    }
    let document = world.read(&linus, list);
    assert_eq!(keys(&document), ["page", "pagelen", "size", "values"]);
    assert_eq!(
        keys(&document["values"][0]),
        ["permission", "repository", "type", "user"]
    );
    let repository = &document["values"][0]["repository"];
    assert_eq!(
        keys(repository),
        ["full_name", "links", "name", "type", "uuid"]
    );
    assert_eq!(repository["uuid"], WIDGETS);
}

fn encode(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[test]
fn repositories_are_listed_by_what_a_caller_may_do() {
    let mut world = world(|_| {});
    let tokens = [ADA, GRACE, LINUS].map(|account_id| world.sign_in(account_id));
    let [ada, grace, linus] = &tokens;
    for (bearer, query, slugs) in [
        (ada, "", vec!["widgets", "gadgets", "website", "secrets"]),
        (grace, "", vec!["widgets", "gadgets", "website"]),
        (linus, "", vec!["widgets", "website"]),
        (grace, "?role=member", vec!["widgets", "gadgets", "website"]),
        (grace, "?role=contributor", vec!["widgets", "website"]),
        (grace, "?role=admin", vec![]),
        (linus, "?role=member", vec!["widgets"]),
        (linus, "?q=is_private%3Dtrue", vec!["widgets"]),
        (
            ada,
            "?q=project.key%3D%22OPS%22&role=admin",
            vec!["secrets"],
        ),
        (
            &BOT.to_owned(),
            "?role=admin",
            vec!["widgets", "gadgets", "website", "secrets"],
        ),
    ] {
        let target = format!("/2.0/repositories/acme{query}");
        assert_eq!(world.column(bearer, &target, "/slug"), slugs, "{query}");
    }
    // Strangers may ask, and see what is public.
    assert_eq!(
        world.column(ada, "/2.0/repositories/beta-labs", "/slug"),
        [""; 0]
    );
    assert_eq!(world.status(ada, "/2.0/repositories/nobody"), 404);
    for query in ["role=owner", "role=reader", "q=name"] {
        assert_eq!(
            world.status(ada, &format!("/2.0/repositories/acme?{query}")),
            400
        );
    }
    let row = &world.read(linus, "/2.0/repositories/acme?role=member")["values"][0];
    assert_eq!(
        (&row["project"]["key"], &row["workspace"]["slug"]),
        (&json!("WID"), &json!("acme"))
    );
    assert_eq!(
        (&row["is_private"], &row["full_name"]),
        (&json!(true), &json!("acme/widgets"))
    );
}

#[test]
fn what_a_caller_cannot_see_does_not_exist() {
    let mut world = world(|_| {});
    let linus = world.sign_in(LINUS);
    let at = |name: &str| format!("/2.0/repositories/{name}");
    assert_eq!(world.read(&linus, &at("acme/widgets"))["uuid"], WIDGETS);
    assert_eq!(
        world.status(&linus, &at(&format!("{ACME}/{}", encode(WIDGETS)))),
        200
    );
    assert_eq!(
        world.status(&linus, &at("acme/website")),
        200,
        "it is public"
    );
    for name in [
        "acme/secrets",
        "acme/missing",
        "nobody/secrets",
        "beta-labs/lab",
    ] {
        let expected = json!({"message": format!("Repository {name} not found")});
        assert_eq!(world.error(&linus, &at(name)), (404, expected));
    }
}

#[test]
fn only_administrators_see_what_others_may() {
    let mut world = world(|_| {});
    let tokens = [ADA, GRACE, LINUS].map(|account_id| world.sign_in(account_id));
    let [ada, grace, linus] = &tokens;
    let repositories = "/2.0/workspaces/acme/permissions/repositories";
    for path in [
        "/2.0/workspaces/acme/permissions",
        repositories,
        "/2.0/workspaces/acme/permissions/repositories/widgets",
        "/1.0/groups/acme",
    ] {
        assert_eq!(
            world.error(grace, path),
            (403, json!({"message": "Forbidden"}))
        );
        assert_eq!(world.status(linus, path), 403);
        assert_eq!(world.read(ada, path), world.read(BOT, path));
        assert_eq!(
            world.read(ada, path),
            world.read(ada, &path.replace("acme", ACME)),
            "{path}"
        );
    }
    let roles = "/2.0/workspaces/acme/permissions";
    assert_eq!(
        world.column(BOT, roles, "/user/account_id"),
        [ADA, GRACE, LINUS]
    );
    assert_eq!(
        world.column(BOT, roles, "/permission"),
        ["owner", "member", "collaborator"]
    );
    let members = format!("{roles}?q={}", encode("permission>=\"member\""));
    assert_eq!(
        world.column(BOT, &members, "/user/account_id"),
        [ADA, GRACE]
    );
    let by = |field: &str, value: &str| encode(&format!("{field}=\"{value}\""));
    let uuid = "{00000002-1111-4222-8333-444444444444}";
    for (query, names) in [
        (
            by("user.account_id", GRACE),
            vec!["acme/widgets", "acme/gadgets", "acme/website"],
        ),
        (
            by("user.uuid", uuid),
            vec!["acme/widgets", "acme/gadgets", "acme/website"],
        ),
        (by("user.account_id", "nobody"), vec![]),
        (by("user.uuid", "{nobody}"), vec![]),
        (
            encode(&format!("user.uuid=\"{uuid}\" AND permission=\"read\"")),
            vec!["acme/gadgets"],
        ),
        (
            encode(&format!(
                "user.account_id!=\"{ADA}\" AND repository.name=\"widgets\""
            )),
            vec!["acme/widgets"; 2],
        ),
        (
            by("permission", "admin"),
            vec![
                "acme/widgets",
                "acme/gadgets",
                "acme/website",
                "acme/secrets",
            ],
        ),
    ] {
        let target = format!("{repositories}?q={query}");
        assert_eq!(
            world.column(BOT, &target, "/repository/full_name"),
            names,
            "{query}"
        );
    }
    let on_one = format!("{repositories}/widgets");
    assert_eq!(
        world.column(BOT, &on_one, "/permission"),
        ["admin", "write", "read"]
    );
    assert_eq!(world.status(BOT, &format!("{repositories}/missing")), 404);
    assert_eq!(
        world.status(BOT, &format!("{roles}?q=repository.name%3D%22x%22")),
        400
    );
}

#[test]
fn groups_are_a_bare_list() {
    let mut world = world(|_| {});
    let groups = world.read(BOT, "/1.0/groups/acme?pagelen=1&fields=name");
    let groups = groups.as_array().unwrap();
    let slugs: Vec<_> = groups.iter().map(|group| &group["slug"]).collect();
    assert_eq!(slugs, ["admins", "developers"]);
    let members = groups[1]["members"].as_array().unwrap();
    let members: Vec<_> = members.iter().map(|member| &member["account_id"]).collect();
    assert_eq!(members, [ADA, GRACE]);
    world.bitbucket.remove_member("acme", GRACE).unwrap();
    let groups = world.read(BOT, "/1.0/groups/acme/");
    assert_eq!(groups[1]["members"].as_array().unwrap().len(), 1);
    assert_eq!(world.status(BOT, "/1.0/user"), 404);
}

#[test]
fn an_access_token_is_nobodys() {
    let mut world = world(|settings| {
        let mut narrow = settings.access_tokens[0].clone();
        narrow.token = "ATCT-narrow".to_owned();
        narrow.kind = AccessTokenKind::Repository(WIDGETS.to_owned());
        settings.access_tokens.push(narrow);
        let mut reader = settings.access_tokens[0].clone();
        reader.token = "ATCT-reader".to_owned();
        reader.is_admin = false;
        reader.scopes = vec!["pullrequest".to_owned()];
        settings.access_tokens.push(reader);
    });
    assert_eq!(world.read(BOT, "/2.0/workspaces/acme")["slug"], "acme");
    assert_eq!(world.status(BOT, "/2.0/workspaces/beta-labs"), 403);
    assert_eq!(
        world.status("Bearer ATCT-made-up", "/2.0/workspaces/acme"),
        401
    );
    for path in ["/2.0/user", "/2.0/user/", "/2.0/user/emails"] {
        assert_eq!(world.status(BOT, path), 401, "{path}");
    }
    for path in [
        "/2.0/user/workspaces",
        "/2.0/user/workspaces/acme/permission",
        "/2.0/user/workspaces/acme/permissions/repositories",
    ] {
        let (status, error) = world.error(BOT, path);
        assert_eq!(
            (status, &error["detail"]["granted"]),
            (403, &json!(["repository", "project"]))
        );
    }
    // One repository, and no administration of the workspace.
    let narrow = "Bearer ATCT-narrow";
    assert_eq!(
        world.column(narrow, "/2.0/repositories/acme", "/slug"),
        ["widgets", "website"]
    );
    assert_eq!(world.status(narrow, "/2.0/repositories/acme/secrets"), 404);
    let reader = "Bearer ATCT-reader";
    assert_eq!(world.status(reader, "/2.0/repositories/acme/secrets"), 200);
    for bearer in [narrow, reader] {
        assert_eq!(world.status(bearer, "/2.0/workspaces/acme"), 200);
        assert_eq!(
            world.status(bearer, "/2.0/workspaces/acme/permissions"),
            403
        );
        assert_eq!(world.status(bearer, "/1.0/groups/acme"), 403);
    }
    // It goes with the workspace, and not with the slug.
    world
        .bitbucket
        .rename_workspace("acme", "acme-corp")
        .unwrap();
    world
        .bitbucket
        .reuse_slug("acme", "{66aa0000-1111-4222-8333-444455556666}")
        .unwrap();
    assert_eq!(world.status(BOT, "/2.0/workspaces/acme"), 403);
    assert_eq!(world.status(BOT, "/2.0/workspaces/acme-corp"), 200);
}

#[test]
fn a_consumer_as_itself_is_what_its_own_account_is() {
    let mut world = world(|settings| {
        settings.consumers[0].private = true;
        let directory = &mut settings.directory;
        directory
            .set_role("acme", "app:demo-consumer", Some(Role::Owner))
            .unwrap();
    });
    let subject = Arc::new(Subject {
        client_id: "demo-consumer".to_owned(),
        account_id: None,
        scopes: vec!["account".to_owned()],
    });
    let form = (crate::bitbucket::Mode::Legacy, 40);
    let token = world
        .bitbucket
        .grants
        .new_access(&subject, 1, u64::MAX, form);
    let bearer = format!("Bearer {token}");
    assert_eq!(world.read(&bearer, "/2.0/user")["type"], "app_user");
    let document = world.read(&bearer, "/2.0/user/workspaces/acme/permission");
    assert_eq!(document["permission"], "owner");
    assert_eq!(world.status(&bearer, "/1.0/groups/acme"), 200);
}

#[test]
fn scopes_are_held_against_each_resource() {
    let repositories = "/2.0/user/workspaces/acme/permissions/repositories";
    for (scopes, path, required) in [
        (
            vec!["email", "repository"],
            "/2.0/user",
            Some(json!(["account"])),
        ),
        (
            vec!["repository"],
            "/2.0/user/emails",
            Some(json!(["email"])),
        ),
        (vec!["account"], "/2.0/user/emails", None),
        (
            vec!["email", "team"],
            "/2.0/user/workspaces",
            Some(json!(["account"])),
        ),
        (
            vec!["repository"],
            "/2.0/user/workspaces/acme/permission",
            Some(json!(["account"])),
        ),
        (
            vec!["account:write"],
            "/2.0/user/workspaces/acme/permission",
            None,
        ),
        (
            vec!["account"],
            repositories,
            Some(json!(["account", "repository"])),
        ),
        (
            vec!["repository"],
            repositories,
            Some(json!(["account", "repository"])),
        ),
        (
            vec!["account", "repository:admin"],
            repositories,
            Some(json!(["account", "repository"])),
        ),
        (vec!["account", "pullrequest:write"], repositories, None),
        (vec!["account", "project"], repositories, None),
        (
            vec!["account", "webhook"],
            "/2.0/repositories/acme",
            Some(json!(["repository"])),
        ),
        (
            vec!["repository:write"],
            "/2.0/repositories/acme/widgets",
            None,
        ),
        (
            vec!["repository"],
            "/2.0/workspaces/acme",
            Some(json!(["account"])),
        ),
        (
            vec!["repository"],
            "/1.0/groups/acme",
            Some(json!(["account"])),
        ),
        (
            vec!["repository"],
            "/2.0/workspaces/acme/permissions",
            Some(json!(["account"])),
        ),
    ] {
        let mut world = world(|settings| {
            settings.consumers[0].scopes = scopes.iter().copied().map(str::to_owned).collect();
        });
        let ada = world.sign_in(ADA);
        let Some(required) = required else {
            assert_eq!(world.status(&ada, path), 200, "{scopes:?} {path}");
            continue;
        };
        let (status, error) = world.error(&ada, path);
        let expected = json!({
            "message": "Your credentials lack one or more required privilege scopes.",
            "detail": {"required": required, "granted": scopes},
        });
        assert_eq!((status, error), (403, expected), "{path}");
        let answer = world.send(&ada, path);
        assert_eq!(answer.headers()["x-oauth-scopes"], scopes.join(", "));
    }
}

fn with_many(settings: &mut Settings) {
    for number in 0..243 {
        let repository = Repository {
            uuid: format!("{{aaaa{number:04}}}"),
            slug: format!("r{number}"),
            project: "OPS".to_owned(),
            is_private: true,
        };
        let (slug, directory) = (repository.slug.clone(), &mut settings.directory);
        directory.add_repository("acme", repository).unwrap();
        let permission = Some(Permission::Write);
        directory
            .set_permission("acme", &slug, GRACE, permission)
            .unwrap();
    }
}

#[test]
fn pages_are_followed_to_the_end() {
    let lists = [
        (
            "/2.0/user/workspaces/acme/permissions/repositories",
            "/repository/uuid",
            246,
        ),
        ("/2.0/repositories/acme?role=contributor", "/uuid", 245),
        ("/2.0/user/workspaces", "/workspace/uuid", 2),
        ("/2.0/user/emails", "/email", 2),
    ];
    for paging in [Paging::Counted, Paging::Numbered, Paging::Opaque] {
        let mut world = world(with_many);
        world.bitbucket.settings.paging = paging;
        let grace = world.sign_in(GRACE);
        for (path, pointer, size) in lists {
            for length in [1, 10, 41, 100] {
                let mark = if path.contains('?') { '&' } else { '?' };
                let target = format!("{path}{mark}pagelen={length}");
                // Only those that are not too many for the hour.
                let pages = usize::div_ceil(size, length);
                if pages < 100 {
                    let (followed, found) = world.all(&grace, &target, pointer);
                    assert_eq!((followed, found.len()), (pages, size), "{target}");
                    let distinct: std::collections::BTreeSet<_> = found.iter().collect();
                    assert_eq!(distinct.len(), size, "{target}");
                }
            }
        }
    }
}

#[test]
fn a_page_says_what_it_says_and_no_more() {
    let mut world = world(with_many);
    let grace = world.sign_in(GRACE);
    let list = "/2.0/user/workspaces/acme/permissions/repositories";
    let first = world.read(&grace, list);
    assert_eq!(
        (&first["pagelen"], &first["page"], &first["size"]),
        (&json!(10), &json!(1), &json!(246))
    );
    assert_eq!(first["next"], format!("http://{API}{list}?page=2"));
    assert_eq!(first.get("previous"), None);
    let last = world.read(&grace, &format!("{list}?page=3&pagelen=100"));
    assert_eq!(
        keys(&last),
        ["page", "pagelen", "previous", "size", "values"]
    );
    let beyond = world.read(&grace, &format!("{list}?page=4&pagelen=100"));
    assert_eq!(
        (&beyond["values"], &beyond["size"]),
        (&json!([]), &json!(246))
    );
    world.bitbucket.settings.paging = Paging::Numbered;
    assert_eq!(
        keys(&world.read(&grace, list)),
        ["next", "page", "pagelen", "values"]
    );
    for query in [
        "pagelen=0",
        "pagelen=101",
        "pagelen=-1",
        "pagelen=x",
        "page=0",
        "page=x",
        "page=2&page=2",
        "ctx=10",
    ] {
        assert_eq!(
            world.status(&grace, &format!("{list}?{query}")),
            400,
            "{query}"
        );
    }
    // A UUID stays encoded, and everything else that was asked for stays.
    let asked = format!(
        "/2.0/user/workspaces/{ACME}/permissions/repositories?fields=next%2Cvalues.permission&pagelen=50&q=permission%3D%22write%22"
    );
    let document = world.read(&grace, &asked);
    assert_eq!(
        document["next"],
        format!("http://{API}{asked}&page=2").as_str()
    );
}

#[test]
fn an_opaque_next_is_for_one_caller_and_one_list() {
    let mut world = world(with_many);
    world.bitbucket.settings.paging = Paging::Opaque;
    let [grace, ada] = [GRACE, ADA].map(|account_id| world.sign_in(account_id));
    let list = "/2.0/user/workspaces/acme/permissions/repositories";
    let document = world.read(&grace, &format!("{list}?pagelen=100"));
    assert_eq!(keys(&document), ["next", "pagelen", "values"]);
    let next = document["next"]
        .as_str()
        .unwrap()
        .split_once(API)
        .unwrap()
        .1
        .to_owned();
    assert_eq!(world.status(&grace, &next), 200);
    let by_bot = next.replace("/2.0/user/workspaces/acme", "/2.0/workspaces/acme");
    for (bearer, target) in [
        (BOT, by_bot.as_str()),
        (&ada, &next),
        (&grace, &next.replace("pagelen=100", "pagelen=50")),
        (&grace, &next.replace("ctx=100", "ctx=200")),
        (&grace, &format!("{list}?page=2")),
    ] {
        assert_eq!(world.status(bearer, target), 400, "{target}");
    }
}

#[test]
fn an_answer_has_the_fields_that_were_asked_for() {
    let mut world = world(|_| {});
    let ada = world.sign_in(ADA);
    let list = "/2.0/user/workspaces/acme/permissions/repositories?pagelen=1";
    let part = world.read(
        &ada,
        &format!("{list}&fields=values.permission,values.repository.uuid"),
    );
    let expected = json!({"values": [{"permission": "admin", "repository": {"uuid": WIDGETS}}]});
    assert_eq!(part, expected, "without next, nobody finds the second page");
    let part = world.read(&ada, &format!("{list}&fields=next,values.permission"));
    assert_eq!(keys(&part), ["next", "values"]);
    let role = "/2.0/user/workspaces/acme/permission";
    let more = world.read(&ada, &format!("{role}?fields=%2Badded_on"));
    assert!(more["added_on"].is_string() && more["permission"] == "owner");
    assert_eq!(
        world.read(&ada, &format!("{role}?fields=+added_on")),
        json!({})
    );
    let roles = world.read(
        BOT,
        "/2.0/workspaces/acme/permissions?fields=%2Bvalues.added_on,-size",
    );
    assert!(roles["values"][2]["added_on"].is_string() && roles.get("size").is_none());
    // An error is an error, whatever was asked for.
    assert_eq!(
        world.status(&ada, "/2.0/workspaces/nobody?fields=nothing"),
        404
    );
    assert!(
        !world
            .error(&ada, "/2.0/workspaces/nobody?fields=nothing")
            .1
            .is_null()
    );
}

#[test]
fn the_hour_of_a_consumer_is_counted_exactly() {
    let mut world = world(|settings| settings.api_limit = Some(5));
    let [ada, grace] = [ADA, GRACE].map(|account_id| world.sign_in(account_id));
    // Whoever asks, and whatever the answer is.
    for (bearer, target, status) in [
        (&ada, "/2.0/user", 200),
        (&grace, "/2.0/user", 200),
        (&grace, "/1.0/groups/acme", 403),
        (&grace, "/2.0/nothing", 404),
    ] {
        assert_eq!(world.status(bearer, target), status);
    }
    // Nobody knows whose call this is, and this one never got there.
    assert_eq!(world.status("Bearer made-up", "/2.0/user"), 401);
    let path = "/2.0/user".to_owned();
    let response = FaultResponse::Status(503);
    world.bitbucket.fail_next(Fault {
        path,
        times: 1,
        response,
    });
    assert_eq!(world.status(&ada, "/2.0/user"), 503);
    world.now += 10;
    assert_eq!(world.status(&ada, "/2.0/workspaces"), 410);
    for _ in 0..3 {
        let answer = world.send(&ada, "/2.0/user");
        assert_eq!(answer.status(), 429);
        assert_eq!(
            answer.body(),
            b"Rate limit for this resource has been exceeded"
        );
        assert_eq!(answer.headers()["content-type"], "text/plain");
        assert_eq!(answer.headers()["cache-control"], "no-cache, no-store");
        assert_eq!(answer.headers().get("retry-after"), None);
    }
    // The bot has an hour of its own, and a limit that grows with the seats.
    world.bitbucket.settings.access_tokens[0].api_limit = Some(6);
    for _ in 0..6 {
        assert_eq!(world.status(BOT, "/2.0/workspaces/acme"), 200);
    }
    assert_eq!(world.status(BOT, "/2.0/workspaces/acme"), 429);
    world.bitbucket.settings.retry_after = Some(120);
    assert_eq!(
        world.send(&ada, "/2.0/user").headers()["retry-after"],
        "120"
    );
    assert_eq!(world.bitbucket.rate_limited(), 5);
    let usage = Usage {
        answered: 5,
        refused: 4,
        busiest_hour: 5,
    };
    assert_eq!(world.bitbucket.usage_of("demo-consumer"), usage);
    world.now += 3_590;
    for status in [200, 200, 200, 200, 429] {
        assert_eq!(
            world.status(&ada, "/2.0/user"),
            status,
            "four are an hour old"
        );
    }
    world.now += 10;
    assert_eq!(world.status(&ada, "/2.0/user"), 200);
    for no_limit in [None, Some(0)] {
        world.bitbucket.settings.api_limit = no_limit;
        assert_eq!(world.status(&ada, "/2.0/user"), 200);
    }
    let calls = world.bitbucket.calls();
    assert_eq!(calls[&("/2.0/workspaces/{workspace}", 429)], 1);
    assert_eq!(calls[&("/2.0/user", 429)], 5);
    assert_eq!(calls[&("/site/oauth2/access_token", 200)], 2);
    assert_eq!(world.bitbucket.count("/2.0/workspaces/{workspace}"), 7);
    assert_eq!(world.bitbucket.count("/2.0/workspaces/acme"), 7);
}

#[test]
fn a_fault_is_for_a_path_or_for_all_of_a_kind() {
    let mut world = world(|_| {});
    for (path, target) in [
        ("/2.0/workspaces/{workspace}", "/2.0/workspaces/acme"),
        ("/2.0/workspaces/acme", "/2.0/workspaces/acme"),
        ("/1.0/groups/{workspace}", "/1.0/groups/acme"),
    ] {
        let (path, response) = (path.to_owned(), FaultResponse::Status(500));
        world.bitbucket.fail_next(Fault {
            path,
            times: 1,
            response,
        });
        assert_eq!(world.status(BOT, "/2.0/repositories/acme"), 200);
        assert_eq!(world.status(BOT, target), 500);
        assert_eq!(world.status(BOT, target), 200);
    }
}

#[test]
fn who_is_removed_is_a_stranger_at_once() {
    let mut world = world(|_| {});
    let grace = world.sign_in(GRACE);
    let list = "/2.0/user/workspaces/acme/permissions/repositories";
    world
        .bitbucket
        .set_permission("acme", "widgets", GRACE, None)
        .unwrap();
    assert_eq!(
        world.column(&grace, list, "/repository/name"),
        ["gadgets", "website"]
    );
    world.bitbucket.remove_member("acme", GRACE).unwrap();
    assert_eq!(world.bitbucket.role_of(GRACE, "acme"), None);
    assert_eq!(world.status(&grace, list), 403);
    assert_eq!(
        world.status(&grace, "/2.0/user/workspaces/acme/permission"),
        403
    );
    assert_eq!(world.status(&grace, "/2.0/repositories/acme/gadgets"), 404);
    assert_eq!(
        world.column(&grace, "/2.0/user/workspaces", "/workspace/slug"),
        ["beta-labs"]
    );
    assert_eq!(
        world.column(&grace, "/2.0/repositories/acme?role=member", "/slug"),
        [""; 0]
    );
    assert_eq!(
        world
            .column(BOT, "/2.0/workspaces/acme/permissions", "/permission")
            .len(),
        2
    );
    world.bitbucket.close_account(GRACE);
    assert_eq!(world.status(&grace, "/2.0/user/workspaces"), 401);
    assert_eq!(world.bitbucket.role_of(GRACE, "beta-labs"), None);
    assert_eq!(world.bitbucket.groups_of(GRACE), []);
}

#[test]
fn a_slug_that_moved_leads_nowhere_and_then_to_somebody_else() {
    let mut world = world(|_| {});
    let ada = world.sign_in(ADA);
    let role = |name: &str| format!("/2.0/user/workspaces/{name}/permission");
    world
        .bitbucket
        .rename_workspace("acme", "acme-corp")
        .unwrap();
    assert_eq!(world.status(&ada, &role("acme")), 404);
    for name in ["acme-corp", ACME] {
        assert_eq!(
            world.read(&ada, &role(name))["workspace"]["slug"],
            "acme-corp"
        );
    }
    let list = "/2.0/user/workspaces/acme-corp/permissions/repositories";
    assert_eq!(
        world.column(&ada, list, "/repository/full_name")[0],
        "acme-corp/widgets"
    );
    let eve = Workspace {
        uuid: "{66aa0000-1111-4222-8333-444455556666}".to_owned(),
        slug: "acme".to_owned(),
        name: "Eve".to_owned(),
    };
    world
        .bitbucket
        .settings
        .directory
        .add_workspace(eve.clone())
        .unwrap();
    assert_eq!(world.status(&ada, &role("acme")), 403);
    world
        .bitbucket
        .settings
        .directory
        .set_role("acme", ADA, Some(Role::Member))
        .unwrap();
    let document = world.read(&ada, &role("acme"));
    assert_eq!(document["workspace"]["uuid"], eve.uuid.as_str());
}

#[test]
fn what_was_removed_is_gone_for_everybody_and_nothing_can_be_changed() {
    let mut world = world(|_| {});
    let ada = world.sign_in(ADA);
    for path in [
        "/2.0/workspaces",
        "/2.0/workspaces/",
        "/2.0/repositories?role=member",
        "/2.0/user/permissions/workspaces",
        "/2.0/user/permissions/repositories?q=repository.full_name%3D%22acme%2Fwidgets%22",
    ] {
        for bearer in [ada.as_str(), BOT] {
            let (status, error) = world.error(bearer, path);
            assert_eq!(
                (status, keys(&error)),
                (410, vec!["data", "detail", "message"]),
                "{path}"
            );
        }
    }
    let paths = [
        "/2.0/repositories/acme/widgets",
        "/1.0/groups/acme",
        "/2.0/user",
    ];
    for path in paths {
        let request = http::Request::put(path)
            .header("host", API)
            .header("authorization", &ada);
        let answer = world
            .bitbucket
            .handle(0, &request.body(Vec::new()).unwrap());
        assert_eq!(answer.status(), 405, "{path}");
    }
    for path in [
        "/2.0/user/workspaces/acme",
        "/2.0/workspaces/acme/members",
        "/2.0/user/workspaces//permission",
    ] {
        assert_eq!(world.status(&ada, path), 404, "{path}");
    }
}
