//! The workspaces of the demo.

use super::{Directory, Group, Permission, Project, Refused, Repository, Role, Workspace};

impl Directory {
    /// Two workspaces: Ada owns `acme`, where Grace is a member and Linus collaborates on one
    /// repository; Grace owns `beta-labs`.
    #[must_use]
    pub fn demo([ada, grace, linus]: [&str; 3]) -> Self {
        let mut directory = Self::default();
        let filled = directory.fill(ada, grace, linus);
        debug_assert_eq!(filled, Ok(()));
        directory
    }

    fn fill(&mut self, ada: &str, grace: &str, linus: &str) -> Result<(), Refused> {
        use Permission::{Admin, Read, Write};
        let id = |prefix: &str| format!("{{{prefix}-1111-4222-8333-444455556666}}");
        for (slug, prefix, name) in [
            ("acme", "77aa0000", "Acme"),
            ("beta-labs", "88bb0000", "Beta Labs"),
        ] {
            self.add_workspace(Workspace {
                uuid: id(prefix),
                slug: slug.to_owned(),
                name: name.to_owned(),
            })?;
        }
        self.set_role("acme", ada, Some(Role::Owner))?;
        self.set_role("acme", grace, Some(Role::Member))?;
        self.set_role("beta-labs", grace, Some(Role::Owner))?;
        for (workspace, key, prefix, name) in [
            ("acme", "WID", "aa110000", "Widgets"),
            ("acme", "OPS", "aa220000", "Operations"),
            ("beta-labs", "LAB", "aa330000", "Laboratory"),
        ] {
            let project = Project {
                uuid: id(prefix),
                key: key.to_owned(),
                name: name.to_owned(),
            };
            self.set_project(workspace, project)?;
        }
        for (workspace, slug, prefix, project, is_private) in [
            ("acme", "widgets", "99cc0000", "WID", true),
            ("acme", "gadgets", "99cc0001", "WID", true),
            ("acme", "website", "99cc0002", "WID", false),
            ("acme", "secrets", "99cc0003", "OPS", true),
            ("beta-labs", "lab", "99dd0000", "LAB", true),
            ("beta-labs", "notes", "99dd0001", "LAB", true),
        ] {
            let repository = Repository {
                uuid: id(prefix),
                slug: slug.to_owned(),
                project: project.to_owned(),
                is_private,
            };
            self.add_repository(workspace, repository)?;
        }
        for (workspace, repository, account_id, permission) in [
            ("acme", "widgets", ada, Admin),
            ("acme", "widgets", grace, Write),
            ("acme", "widgets", linus, Read),
            ("acme", "gadgets", ada, Admin),
            ("acme", "gadgets", grace, Read),
            ("acme", "website", ada, Admin),
            ("acme", "website", grace, Write),
            ("acme", "secrets", ada, Admin),
            ("beta-labs", "lab", grace, Admin),
            ("beta-labs", "notes", grace, Admin),
        ] {
            self.set_permission(workspace, repository, account_id, Some(permission))?;
        }
        for (slug, name, members) in [
            ("developers", "Developers", vec![ada, grace]),
            ("admins", "Admins", vec![ada]),
        ] {
            let group = Group {
                name: name.to_owned(),
                slug: slug.to_owned(),
                members: members.into_iter().map(str::to_owned).collect(),
            };
            self.set_group("acme", group)?;
        }
        Ok(())
    }
}
