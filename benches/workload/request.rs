//! Requests as Envoy hands them over.

/// The host's serialized map of names and values, pseudo-headers included.
pub type Fields = Vec<u8>;

/// What a script of a page sends, with what Envoy adds.
pub fn fetch(path: &str, more: &[(&str, &str)]) -> Fields {
    let usual = [
        (":method", "GET"),
        (":authority", "localhost:10000"),
        (":path", path),
        (":scheme", "http"),
        ("accept", "*/*"),
        ("accept-encoding", "gzip, deflate, br"),
        ("accept-language", "en-GB,en;q=0.9"),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0",
        ),
        ("referer", "http://localhost:10000/app/dashboard"),
        ("sec-fetch-dest", "empty"),
        ("sec-fetch-mode", "cors"),
        ("sec-fetch-site", "same-origin"),
        ("x-forwarded-for", "10.0.0.1"),
        ("x-forwarded-proto", "http"),
        ("x-request-id", "0b6b9d2e-7f52-4a3e-9d0e-6a1f0c9d2b11"),
    ];
    of(usual.iter().chain(more))
}

/// What opens a page.
pub fn navigation(path: &str, cookies: &str) -> Fields {
    of(&[
        (":method", "GET"),
        (":authority", "localhost:10000"),
        (":path", path),
        ("accept", "text/html"),
        ("sec-fetch-mode", "navigate"),
        ("sec-fetch-dest", "document"),
        ("cookie", cookies),
    ])
}

fn of<'a>(pairs: impl IntoIterator<Item = &'a (&'a str, &'a str)>) -> Fields {
    let pairs: Vec<_> = pairs.into_iter().collect();
    let size = |text: &str| u32::try_from(text.len()).unwrap().to_le_bytes();
    let count = u32::try_from(pairs.len()).unwrap();
    let mut map = count.to_le_bytes().to_vec();
    for (name, value) in &pairs {
        map.extend([size(name), size(value)].concat());
    }
    for (name, value) in &pairs {
        map.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"].concat());
    }
    map
}
