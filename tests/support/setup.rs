//! What a story wants to be different from the demo.

use bitgate_simulator::bitbucket::Settings;
use serde_json::Value;

use super::example::Example;

/// The answer to: which world?
pub struct Setup {
    /// The example that the edge is configured with.
    pub example: &'static str,
    /// Changes the plugin's configuration.
    pub config: fn(&mut Value),
    /// Changes the rest of Envoy's configuration.
    pub envoy: fn(&mut Example),
    /// Changes Bitbucket.
    pub bitbucket: fn(&mut Settings),
    /// Whether pipelines with OIDC have run in the workspace acme, so that its keys are there.
    pub has_pipelines: bool,
    /// Whether time can be moved: in Envoy that needs the module for tests.
    pub clock: bool,
    /// Whether nothing listens where Bitbucket should be.
    pub is_bitbucket_down: bool,
    /// Threads of Envoy that serve requests.
    pub workers: u32,
    /// Whether clients of Envoy speak HTTP/2.
    pub http2: bool,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            example: "demo.yaml",
            config: |_| {},
            envoy: |_| {},
            bitbucket: |_| {},
            has_pipelines: true,
            clock: false,
            is_bitbucket_down: false,
            workers: 1,
            http2: false,
        }
    }
}

impl Setup {
    pub fn with_clock() -> Self {
        Self {
            clock: true,
            ..Self::default()
        }
    }
}
