//! Whole conversations with a gate.

mod answer;
mod oracle;
mod script;
mod site;
mod upstream;
mod world;

use script::Action;
use world::World;

use crate::setup::secret_for;

/// The input is a conversation, see [`script`]. After each step the properties in
/// [`upstream`] and [`answer`] hold.
pub(crate) fn gate(bytes: &[u8]) {
    let mut world = World::new(secret_for(bytes));
    for action in script::read(bytes) {
        match action {
            Action::NoRandomness => world.random.is_empty = true,
            Action::Reply(reply) => world.replies.push_back(reply),
            Action::Request(fields) => world.send(&fields),
            Action::SignIn => world.sign_in(),
            Action::Wait(seconds) => world.wait(seconds),
        }
    }
}
