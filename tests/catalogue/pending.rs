//! Cases that no code of today can run, and why. Whoever builds the thing takes its ids out here.

pub const PENDING: &[(&str, &[&str])] = &[
    (
        "side channels are not measured",
        &["TIME-01", "TIME-03", "TIME-04", "TIME-05"],
    ),
    (
        "needs a Bitbucket that drips, and a look into the memory of Envoy",
        &["DOS-07", "LEAK-16"],
    ),
    ("needs a trap in the response phase", &["FAIL-17"]),
    ("with back-channel logout", &["JWT-47", "JWT-48"]),
    (
        "with identity providers, Bitbucket Data Center and secret stores",
        &[
            "FLOW-24", "FLOW-26", "FLOW-27", "FLOW-28", "FLOW-29", "PRIV-10", "PRIV-17", "DOS-24",
            "DOS-19",
        ],
    ),
    (
        "cookie names and attributes cannot be configured",
        &["CFG-14"],
    ),
    (
        "needs a client that writes frames of HTTP/2 and HTTP/3 by hand",
        &[
            "PATH-25", "SMUG-02", "SMUG-03", "SMUG-04", "SMUG-05", "SMUG-06", "SMUG-07", "SMUG-08",
        ],
    ),
    ("needs several web servers side by side", &["PATH-38"]),
    ("needs a Bitbucket with TLS in the tests", &["FAIL-13"]),
    (
        "the host cannot be made to do this",
        &["FAIL-07", "FAIL-08"],
    ),
    ("needs other filters beside this one", &["FAIL-16"]),
    ("needs a tool that changes the code", &["FAIL-18"]),
];

/// Cases that are shown outside of this binary: where, and the line that does it.
pub const ELSEWHERE: &[(&str, &str, &str)] = &[
    (
        "PRIV-20",
        "tests/decisions/main.rs",
        "fn envoy_decides_as_the_reference()",
    ),
    (
        "SESS-27",
        "src/session/mod.rs",
        "fn hostile_text_under_a_good_seal_never_opens()",
    ),
    (
        "PATH-39",
        "tests/properties.rs",
        "fn a_target_that_passes_is_unambiguous(",
    ),
    (
        "CFG-20",
        "tests/command.rs",
        "fn one_unsafe_setting_is_one_finding()",
    ),
    (
        "CFG-21",
        "tests/command.rs",
        "fn one_unsafe_setting_is_one_finding()",
    ),
    (
        "CFG-22",
        "tests/command.rs",
        "fn one_unsafe_setting_is_one_finding()",
    ),
    ("LEAK-06", "Cargo.toml", "panic = \"deny\""),
    (
        "SESS-34",
        "tests/stories/renewal.rs",
        "who_still_has_the_old_cookie_gets_the_new_one",
    ),
    (
        "SESS-36",
        "tests/fleet.rs",
        "fn two_instances_renew_one_session_twenty_times()",
    ),
    (
        "OUT-07",
        "tests/stories/revocation.rs",
        "who_signs_out_while_the_session_is_renewed_gets_nothing_back",
    ),
    (
        "DOS-04",
        "src/session/cache.rs",
        "fn entries_and_bytes_stay_bounded_far_beyond_the_bound()",
    ),
    (
        "DOS-11",
        "tests/fleet.rs",
        "fn five_hundred_requests_at_once_make_one_call()",
    ),
    (
        "DOS-13",
        "tests/stories/renewal.rs",
        "an_outage_at_renewal_ends_no_session",
    ),
    (
        "DOS-16",
        "src/session/renewal.rs",
        "fn slots_stay_bounded_far_beyond_the_bound()",
    ),
    (
        "FAIL-19",
        "tests/stories/renewal.rs",
        "a_large_upload_waits_for_a_renewal_and_arrives_whole",
    ),
    (
        "JWT-34",
        "tests/stories/pipelines.rs",
        "keys_rotate_without_a_failed_request",
    ),
    // The last good keys have no end, other than in the row: their age is a gauge.
    (
        "JWT-36",
        "src/issuers/judge.rs",
        "fn the_last_good_keys_stay_in_use()",
    ),
];
