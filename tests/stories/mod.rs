//! End-to-end tests, written once: each binary that includes them chooses the edge.

/// One story: its name says the behaviour, its world is made for it.
macro_rules! story {
    ($name:ident, $setup:expr, |$world:ident| $body:block) => {
        #[test]
        fn $name() {
            let mut world = crate::support::world::World::new(crate::KIND, &$setup);
            let $world = &mut world;
            $body
        }
    };
    ($name:ident, |$world:ident| $body:block) => {
        story!($name, crate::support::setup::Setup::default(), |$world| {
            $body
        });
    };
}

mod access;
mod bot;
mod callers;
mod client;
mod consumers;
mod identity_token;
mod login;
mod lookup;
mod outage;
mod pipelines;
mod renewal;
mod request;
mod revocation;
mod session;
mod slugs;
mod stale;
