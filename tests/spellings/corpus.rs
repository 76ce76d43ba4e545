//! Spellings of paths that name repositories, the wrong ones above all.

/// What stands between segments, or should.
const SEPARATORS: [&str; 24] = [
    "/",
    "//",
    "/./",
    "%2f",
    "%2F",
    "\\",
    "%5c",
    "%252f",
    "%ef%bc%8f",
    "%e2%88%95",
    "%e2%81%84",
    "%ef%bc%bc",
    "%ef%b9%a8",
    ";/",
    "/;/",
    ";x=1/",
    "%3b/",
    "%c0%af",
    "%00/",
    "/%20/",
    "/%e2%80%8b/",
    "?/",
    "%23/",
    "%3f/",
];

/// What means the folder above, or should not.
const PARENTS: [&str; 34] = [
    "..",
    "%2e%2e",
    ".%2e",
    "%2E.",
    "..;",
    "..;a=b",
    "..%3b",
    ".;/.",
    "%252e%252e",
    "%ef%bc%8e%ef%bc%8e",
    ".%ef%bc%8e",
    "%ef%bc%8e.",
    "%e2%80%a5",
    "%e2%80%a4%e2%80%a4",
    "%e2%80%a4.",
    "%ef%b9%92%ef%b9%92",
    "%ef%b8%b0",
    "..%20",
    "%20..",
    "%20..%20",
    "..%c2%a0",
    "..%e3%80%80",
    "..%00",
    "..%09",
    "..%e2%80%8b",
    ".%e2%80%8c.",
    "..%ef%bb%bf",
    "..%c2%ad",
    "%c0%ae%c0%ae",
    "..%ef%bc%9b",
    "..%cd%be",
    "%ef%bc%8e%ef%bc%8e%ef%bc%9b",
    "...",
    "..\u{200b}",
];

/// Ways to write a letter of a name.
fn letters(letter: char) -> Vec<String> {
    let lower = u32::from(letter);
    let mut all = vec![
        letter.to_uppercase().to_string(),
        format!("%{lower:02x}"),
        format!("%{:02X}", lower - 32),
        format!("%25{lower:02x}"),
        format!("{letter}%cc%81"),
        format!("{letter}%e2%80%8d"),
        format!("{letter}\u{301}"),
    ];
    let wide = char::from_u32(lower + 0xfee0).unwrap();
    let circled = char::from_u32(lower - 97 + 0x24d0).unwrap();
    all.extend([wide, circled].map(encoded));
    all.push(wide.to_string());
    let alike: &[char] = match letter {
        'a' => &['á', 'ª'],
        'e' => &['é', 'è'],
        'i' => &['í', 'ı', 'ⁱ'],
        'k' => &['\u{212a}'],
        's' => &['ſ', 'ˢ'],
        _ => &[],
    };
    all.extend(alike.iter().copied().map(encoded));
    all
}

fn encoded(c: char) -> String {
    let mut bytes = [0; 4];
    let bytes = c.encode_utf8(&mut bytes).bytes();
    bytes.map(|byte| format!("%{byte:02x}")).collect()
}

/// A name with one part of it written in another way, and with something before and behind.
fn spellings(name: &str) -> Vec<String> {
    let mut all = vec![name.to_owned(), name.to_uppercase()];
    for (at, letter) in name.char_indices().filter(|(_, c)| c.is_ascii_lowercase()) {
        let (head, tail) = (&name[..at], &name[at + 1..]);
        all.extend(
            letters(letter)
                .iter()
                .map(|other| format!("{head}{other}{tail}")),
        );
    }
    let whole: String = name
        .chars()
        .map(|c| match c.is_ascii_lowercase() {
            true => encoded(char::from_u32(u32::from(c) + 0xfee0).unwrap()),
            false => c.to_string(),
        })
        .collect();
    all.push(whole);
    all.push(name.bytes().map(|byte| format!("%{byte:02x}")).collect());
    for end in [
        "/",
        "//",
        "/.",
        ".",
        "%2e",
        "%20",
        "%09",
        "%00",
        "%0a",
        ";",
        ";x",
        ";x=1",
        "%3b",
        "%3bx",
        "%2f",
        "%5c",
        "\\",
        "%23",
        "%3f",
        "?",
        "~",
        "%7e",
        ".git",
        ".GIT",
        ".git/",
        "%ef%bc%8f",
        "%ef%bc%8e",
        "%c2%ad",
        "%cc%81",
        "%ff",
        "%c3",
        "%",
        "%u0041",
        "%%",
        "+",
        "*",
        "\u{e9}",
    ] {
        all.push(format!("{name}{end}"));
        all.push(format!("{}{name}", end.replace('?', "%3f")));
    }
    all
}

/// Paths below each folder of the site, for a repository that somebody may see and one that they may not.
pub fn paths() -> Vec<String> {
    let mut all = Vec::new();
    for folder in ["files", "raw", "git"] {
        let end = if folder == "git" { ".git" } else { "" };
        // One name at a time in another spelling.
        for (workspace, repository) in [
            ("acme", "widgets"),
            ("acme", "secrets"),
            ("beta-labs", "lab"),
        ] {
            for name in spellings(workspace) {
                all.push(format!("/{folder}/{name}/{repository}{end}/x"));
            }
            for name in spellings(repository) {
                all.push(format!("/{folder}/{workspace}/{name}{end}/x"));
            }
            for name in spellings(folder) {
                all.push(format!("/{name}/{workspace}/{repository}{end}/x"));
            }
        }
        // From one to the other.
        for before in SEPARATORS {
            for parent in PARENTS {
                for behind in SEPARATORS {
                    all.push(format!(
                        "/{folder}/acme/widgets{end}{before}{parent}{behind}secrets{end}/x"
                    ));
                    if before == "/" {
                        all.push(format!("/{folder}/acme/widgets{end}/x/{parent}{behind}{parent}{behind}secrets{end}"));
                        all.push(format!("/{folder}/beta-labs/lab{end}/{parent}{behind}{parent}/acme/secrets{end}"));
                        all.push(format!("/{folder}/acme/widgets{end}/x{behind}{parent}/{parent}/{parent}/{parent}/closed/x"));
                    }
                }
            }
        }
    }
    for parent in PARENTS {
        for behind in SEPARATORS {
            all.push(format!("/team/acme/{parent}{behind}beta-labs/x"));
            all.push(format!("/team/acme{behind}{parent}/beta-labs/x"));
            all.push(format!(
                "/raw/acme/widgets/x{behind}{parent}{behind}{parent}{behind}website/x"
            ));
            all.push(format!("/raw/acme/widgets/x{behind}y;{parent}/z"));
        }
    }
    for name in spellings("website") {
        all.push(format!("/raw/acme/{name}/x"));
        all.push(format!("/raw/acme/{name}"));
    }
    for name in spellings("acme") {
        all.push(format!("/team/{name}/x"));
    }
    all
}
