//! Bitgate puts *Sign in with Bitbucket* in front of any HTTP service: a WebAssembly filter for
//! Envoy.
//!
//! ```text
//!                 src/adapter/  (wasm only)                src/ (pure: native and wasm)
//! Envoy ── headers ──▶ hostcalls ──▶ filter ── Request ──▶ gate ──▶ session ──▶ policy
//!                                      ▲                    │  ╲──▶ login ──▶ oauth
//!                                      │                    │   ╲──▶ bitbucket
//!                                      └────── Step ◀───────┘
//! ```
//!
//! The core decides and the adapter acts. [`gate::Gate::on_request`] takes a request and gives a
//! [`gate::Step`]: forward it with these edits, answer it with this response, or make this call and
//! resume with its reply. Time, randomness and shared data are handed in as a [`host::Host`]; the
//! core reads nothing else, so the same code runs in unit tests, in stories with a virtual clock
//! and in Envoy.
//!
//! # Where to start
//! [`gate`], then [`session`], then one story in `tests/stories/login.rs`. `docs/design.md` says
//! why things are as they are.
//!
//! # Words
//! A *session* is what the sealed cookie says, a *grant* the pair of Bitbucket tokens, a *box*
//! sealed bytes of our own format, a *rule* match, allow and inject, *rights* facts that Bitbucket
//! told us about a principal. A *story* is an end-to-end test, an *edge* Envoy with the filter in it.
//!
//! # Layers
//! Imports run only downwards, and `tests/architecture.rs` holds it: words ([`time`], [`secret`],
//! `sorted`, [`json`], [`identity`], [`host`], [`slots`]), [`http`], [`oauth`] and [`jose`], [`session`] and
//! [`policy`], [`bitbucket`], [`rights`] and [`issuers`], [`config`], [`gate`], and the adapter.

pub mod bitbucket;
pub mod config;
pub mod gate;
pub mod host;
pub mod http;
pub mod identity;
pub mod issuers;
pub mod jose;
pub mod json;
pub mod oauth;
pub mod policy;
pub mod rights;
pub mod secret;
pub mod session;
pub mod slots;
mod sorted;
pub mod time;

#[cfg(target_family = "wasm")]
mod adapter;
