//! What stories ask of the simulator beside Bitbucket's own doors.

use serde_json::Value;

use super::world::World;

/// Asks the simulator to make something.
pub fn control(world: &World, path: &str, document: &Value) -> Value {
    let request = http::Request::post(format!("/_simulator/{path}"));
    let request = request.body(document.to_string().into_bytes()).unwrap();
    let now = world.around.clock.now();
    let response = world.bitbucket().handle(now, &request);
    let answer: Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(response.status(), 200, "{answer}");
    answer
}
