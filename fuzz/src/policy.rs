//! Path templates.

use bitgate::http::RequestTarget;
use bitgate::policy::PathTemplate;

use crate::setup::is_one_line;

/// The input is a template, and on further lines paths to match. A template matches what it says,
/// and nothing else.
pub(crate) fn path_template(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let mut lines = text.split('\n');
    let text = lines.next().unwrap_or_default();
    let template = match PathTemplate::parse(text) {
        Ok(template) => template,
        Err(error) => return assert!(is_one_line(&error.to_string())),
    };
    let body = text.strip_suffix("/**");
    let filled: Vec<String> = body
        .unwrap_or(text)
        .split('/')
        .map(|segment| match around_capture(segment) {
            Some((prefix, suffix)) => format!("{prefix}x{suffix}"),
            None => segment.to_owned(),
        })
        .collect();
    let sample = filled.join("/");
    // "/**" has no segment, and its shortest path is "/".
    let shortest = if sample.is_empty() { "/" } else { &sample };
    assert!(template.matches(shortest), "{text} {shortest}");
    let target = RequestTarget::parse(shortest.as_bytes()).expect("a template is a normal path");
    assert_eq!(target.path(), shortest);
    let is_open = body.is_some();
    assert_eq!(template.matches(&format!("{sample}/y")), is_open, "{text}");
    assert_eq!(
        template.matches(&format!("{sample}/y/z")),
        is_open,
        "{text}"
    );
    assert!(!template.matches(sample.trim_start_matches('/')), "{text}");
    for path in lines.take(16) {
        let Ok(target) = RequestTarget::parse(path.as_bytes()) else {
            continue;
        };
        let path = target.path();
        assert_eq!(template.matches(path), matches(text, path), "{text} {path}");
    }
}

/// What the grammar says, read anew for each path.
fn matches(template: &str, path: &str) -> bool {
    let (body, is_open) = match template.strip_suffix("/**") {
        Some(body) => (body, true),
        None => (template, false),
    };
    if body.is_empty() {
        return true;
    }
    let wanted: Vec<&str> = body.split('/').collect();
    let found: Vec<&str> = path.split('/').collect();
    let enough = match is_open {
        true => found.len() >= wanted.len(),
        false => found.len() == wanted.len(),
    };
    enough
        && wanted.iter().zip(&found).all(|(wanted, found)| {
            let capture = around_capture(wanted);
            wanted == found
                || capture.is_some_and(|(prefix, suffix)| {
                    found.len() > prefix.len() + suffix.len()
                        && found.starts_with(prefix)
                        && found.ends_with(suffix)
                })
        })
}

/// What stands before and behind the capture of a segment.
fn around_capture(segment: &str) -> Option<(&str, &str)> {
    let (prefix, rest) = segment.split_once('{')?;
    Some((prefix, rest.split_once('}')?.1))
}
