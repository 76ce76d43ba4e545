//! Addresses as people write them.

/// An address as people write it, taken apart and not repaired: what is wrong with it is what
/// somebody wants to have explained.
#[derive(Debug)]
pub(super) struct Address<'a> {
    /// Host and port, unless it is a path alone.
    pub(super) authority: Option<&'a str>,
    /// Path and query.
    pub(super) target: &'a str,
}

impl<'a> Address<'a> {
    /// Takes it apart.
    ///
    /// # Errors
    /// What no request can be made of, for people.
    pub(super) fn read(url: &'a str) -> Result<Self, String> {
        let (target, fragment) = match url.split_once('#') {
            Some((target, fragment)) => (target, Some(fragment)),
            None => (url, None),
        };
        if fragment.is_some() {
            return Err("expected an address without \"#\", which no browser sends".to_owned());
        }
        if target.starts_with('/') {
            return Ok(Self {
                authority: None,
                target,
            });
        }
        let rest = ["https://", "http://"]
            .iter()
            .find_map(|scheme| target.strip_prefix(scheme));
        let Some(rest) = rest else {
            return Err(
                "expected an address such as https://tools.example.com/api, or a path".to_owned(),
            );
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at_checked(end).unwrap_or((rest, ""));
        match target {
            "" => Ok(Self {
                authority: Some(authority),
                target: "/",
            }),
            query if query.starts_with('?') => {
                Err("expected a path before the query: write \"/?\"".to_owned())
            }
            target => Ok(Self {
                authority: Some(authority),
                target,
            }),
        }
    }
}
