//! Whether a cluster knows whom it talks to.

use crate::finding::{Code, Findings, Place};
use crate::node::Node;
use crate::plugin::ClusterUse;

const CONTEXT: &str = "envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext";

/// Looks at a cluster whose address is an https one.
pub(super) fn look(cluster: &Node<'_>, used: &ClusterUse, place: &Place, findings: &mut Findings) {
    let Some(host) = &used.https_host else {
        return;
    };
    let contexts = cluster.find(CONTEXT);
    if contexts.is_empty() {
        let path = cluster.path_of("transport_socket");
        let found = match cluster.get("transport_socket") {
            Some(_) => "another kind of socket",
            None => "none",
        };
        let why = match used.has_keys() {
            true => format!("keys that let callers in come from https://{host}"),
            false => format!("codes, tokens and the client secret go to https://{host}"),
        };
        findings.add(Code::TlsMissing, place, &path, ["TLS", found, &why]);
    }
    for context in &contexts {
        let path = format!(
            "{}.validation_context",
            context.path_of("common_tls_context")
        );
        if let Some((expected, found)) = weakness(cluster, context, host) {
            let why = match used.has_keys() {
                true => "else whoever stands between can answer with keys of their own",
                false => "else whoever stands between can answer, and gets the client secret",
            };
            findings.add(Code::TlsUnverified, place, &path, [&expected, found, why]);
        }
    }
}

/// What is expected of the validation and not there.
fn weakness(cluster: &Node<'_>, context: &Node<'_>, host: &str) -> Option<(String, &'static str)> {
    let common = context.get("common_tls_context");
    let common = common.as_ref();
    let has = |name: &str| common.is_some_and(|common| common.get(name).is_some());
    // What a secret service sends is not here.
    if has("validation_context_sds_secret_config") || has("custom_validator_config") {
        return None;
    }
    let combined = common.and_then(|common| common.get("combined_validation_context"));
    let validation = match &combined {
        Some(combined) => combined.get("default_validation_context"),
        None => common.and_then(|common| common.get("validation_context")),
    };
    let is_sent = combined.is_some_and(|combined| {
        combined
            .get("validation_context_sds_secret_config")
            .is_some()
    });
    let Some(validation) = validation else {
        let expected = format!("trusted_ca and the name {host}");
        return (!is_sent).then_some((expected, "none, so any certificate will do"));
    };
    if validation.text("trust_chain_verification") == Some("ACCEPT_UNTRUSTED") {
        return Some((
            "a certificate of an authority".to_owned(),
            "ACCEPT_UNTRUSTED",
        ));
    }
    let authority = [
        "trusted_ca",
        "system_root_certs",
        "ca_certificate_provider_instance",
    ];
    let has_authority = authority.iter().any(|name| validation.get(name).is_some());
    if !has_authority && !is_sent {
        return Some(("trusted_ca".to_owned(), "none, so any certificate will do"));
    }
    let matchers = validation.list("match_typed_subject_alt_names");
    let matchers = matchers.into_iter().filter_map(|node| node.get("matcher"));
    let old = validation.list("match_subject_alt_names");
    let matchers: Vec<_> = matchers.chain(old).collect();
    if matchers.is_empty() {
        return (!is_automatic(cluster, context)).then_some((
            format!("the name {host} in match_typed_subject_alt_names"),
            "no name, so a certificate of any host will do",
        ));
    }
    let fits = matchers.iter().any(|matcher| names(matcher, host));
    (!fits).then_some((format!("the name {host}"), "others only"))
}

/// Whether Envoy compares the certificate with the name that it asked for.
fn is_automatic(cluster: &Node<'_>, context: &Node<'_>) -> bool {
    let options = cluster.get("typed_extension_protocol_options");
    let options = options.map(|node| node.members()).unwrap_or_default();
    let of_cluster = options.iter().any(|(_, any)| {
        let message = any.message().map(|(_, message)| message);
        let options = message.and_then(|message| message.get("upstream_http_protocol_options"));
        options.is_some_and(|options| options.is_true("auto_san_validation"))
    });
    of_cluster || context.is_true("auto_sni_san_validation")
}

/// Whether a matcher takes the host. What is no exact name is taken to do so.
fn names(matcher: &Node<'_>, host: &str) -> bool {
    let Some(exact) = matcher.text("exact") else {
        return true;
    };
    exact.eq_ignore_ascii_case(host)
        || exact.strip_prefix('*').is_some_and(|parent| {
            host.split_once('.')
                .is_some_and(|(_, rest)| parent == format!(".{rest}"))
        })
}
