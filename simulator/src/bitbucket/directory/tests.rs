use super::*;

fn demo() -> Directory {
    Directory::demo(["ada", "grace", "linus"])
}

#[test]
fn a_slug_and_a_uuid_are_as_good() {
    let directory = demo();
    let (acme, widgets) = (
        "{77aa0000-1111-4222-8333-444455556666}",
        "{99cc0000-1111-4222-8333-444455556666}",
    );
    for workspace in ["acme", acme] {
        for repository in ["widgets", widgets] {
            let permission = |account| directory.permission_of(account, workspace, repository);
            assert_eq!(permission("ada"), Some(Permission::Admin));
            assert_eq!(permission("grace"), Some(Permission::Write));
            assert_eq!(permission("linus"), Some(Permission::Read));
            assert_eq!(permission("eve"), None);
        }
        assert_eq!(directory.role_of("ada", workspace), Some(Role::Owner));
        assert_eq!(
            directory.role_of("linus", workspace),
            Some(Role::Collaborator)
        );
    }
    assert_eq!(directory.role_of("ada", "beta-labs"), None);
    assert_eq!(directory.permission_of("grace", "acme", "secrets"), None);
    let project = |account, key| directory.project_permission_of(account, "acme", key);
    assert_eq!(project("grace", "WID"), Some(Permission::Write));
    assert_eq!(project("grace", "OPS"), None);
    let groups = directory.groups_of("ada").into_iter();
    let groups: Vec<_> = groups
        .map(|(workspace, group)| workspace + "/" + &group)
        .collect();
    assert_eq!(groups, ["acme/admins", "acme/developers"]);
}

#[test]
fn who_is_removed_keeps_nothing() {
    let mut directory = demo();
    directory.set_role("acme", "grace", None).unwrap();
    assert_eq!(directory.role_of("grace", "acme"), None);
    assert_eq!(directory.permission_of("grace", "acme", "widgets"), None);
    assert_eq!(directory.groups_of("grace"), []);
    assert_eq!(directory.spaces_of("grace").count(), 1, "beta-labs");
    // Who comes back does not find the old permissions.
    directory
        .set_role("acme", "grace", Some(Role::Member))
        .unwrap();
    assert_eq!(directory.permission_of("grace", "acme", "widgets"), None);
    directory.remove_account("ada");
    assert_eq!(directory.role_of("ada", "acme"), None);
    assert_eq!(directory.permission_of("ada", "acme", "secrets"), None);
    assert_eq!(directory.groups_of("ada"), []);
}

#[test]
fn the_last_permission_makes_and_ends_a_collaborator() {
    let mut directory = demo();
    let set = |directory: &mut Directory, account, permission| {
        directory
            .set_permission("acme", "secrets", account, permission)
            .unwrap();
    };
    set(&mut directory, "eve", Some(Permission::Read));
    assert_eq!(directory.role_of("eve", "acme"), Some(Role::Collaborator));
    set(&mut directory, "eve", None);
    assert_eq!(directory.role_of("eve", "acme"), None);
    set(&mut directory, "grace", Some(Permission::Admin));
    set(&mut directory, "grace", None);
    assert_eq!(directory.role_of("grace", "acme"), Some(Role::Member));
    directory.remove_repository("acme", "widgets").unwrap();
    assert_eq!(directory.role_of("linus", "acme"), None);
    let refused = directory.set_permission("acme", "widgets", "ada", None);
    assert_eq!(refused, Err(Refused::Missing));
}

#[test]
fn names_move_and_uuids_stay() {
    let mut directory = demo();
    let acme = directory.workspace("acme").unwrap().uuid.clone();
    directory.rename_workspace("acme", "acme-corp").unwrap();
    assert_eq!(directory.workspace("acme"), None);
    assert_eq!(directory.role_of("ada", &acme), Some(Role::Owner));
    assert_eq!(directory.role_of("ada", "acme-corp"), Some(Role::Owner));
    let other = |slug: &str, uuid: &str| Workspace {
        uuid: uuid.to_owned(),
        slug: slug.to_owned(),
        name: "Other".to_owned(),
    };
    let taken = directory.add_workspace(other("acme-corp", "{x}"));
    assert_eq!(taken, Err(Refused::Taken));
    assert_eq!(
        directory.add_workspace(other("new", &acme)),
        Err(Refused::Taken)
    );
    directory.add_workspace(other("acme", "{x}")).unwrap();
    assert_eq!(directory.role_of("ada", "acme"), None);
    let taken = directory.rename_workspace(&acme, "acme");
    assert_eq!(taken, Err(Refused::Taken));
    directory.remove_workspace("acme").unwrap();
    directory.rename_workspace(&acme, "acme").unwrap();
    assert_eq!(directory.role_of("ada", "acme"), Some(Role::Owner));

    directory
        .rename_repository("acme", "secrets", "vault")
        .unwrap();
    assert_eq!(directory.repository("acme", "secrets"), None);
    assert_eq!(
        directory.permission_of("ada", "acme", "vault"),
        Some(Permission::Admin)
    );
    let taken = directory.rename_repository("acme", "widgets", "vault");
    assert_eq!(taken, Err(Refused::Taken));
}
