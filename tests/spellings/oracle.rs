//! How servers of every kind may read a path that reached them, and what Bitbucket says of each reading.

use std::collections::BTreeSet;

use bitgate_simulator::bitbucket::{Bitbucket, Permission, Role};

/// The most readings of one path; a path has a few dozen.
const MAX_READINGS: usize = 4_096;

/// Whether `person` may do what a server takes the request for, in every reading: the first one that
/// is forbidden.
pub fn forbidden(
    bitbucket: &Bitbucket,
    person: &str,
    method: &str,
    target: &str,
) -> Option<String> {
    let all = readings(target);
    all.into_iter()
        .find(|reading| !allows(bitbucket, person, method, reading))
}

/// What the rules of the site say, for one plain path.
fn allows(bitbucket: &Bitbucket, person: &str, method: &str, path: &str) -> bool {
    let segments: Vec<&str> = path.split('/').skip(1).collect();
    let writes = !matches!(method, "GET" | "HEAD" | "OPTIONS");
    let needed = if writes {
        Permission::Write
    } else {
        Permission::Read
    };
    let may = |workspace: &str, repository: &str, needed| {
        // What nobody has needs no guard.
        let exists = bitbucket
            .settings
            .directory
            .repository(workspace, repository)
            .is_some();
        !exists || bitbucket.permission_of(person, workspace, repository) >= Some(needed)
    };
    match segments.as_slice() {
        ["closed", ..] | ["raw", "acme", "website", ..] => false,
        ["files" | "raw", workspace, repository, ..] => may(workspace, repository, needed),
        ["git", workspace, repository, ..] => match repository.strip_suffix(".git") {
            Some(repository) => may(workspace, repository, needed),
            None => true,
        },
        ["team", workspace, ..] => {
            let exists = bitbucket.settings.directory.workspace(workspace).is_some();
            !exists || bitbucket.role_of(person, workspace) >= Some(Role::Member)
        }
        _ => true,
    }
}

/// All that a server may make of a target: it decodes once, and then does any of the things that servers
/// do, in any order and as often as something changes.
fn readings(target: &str) -> BTreeSet<String> {
    let path = target.split('?').next().unwrap();
    let mut all = BTreeSet::from([path.to_owned(), decoded(path)]);
    let mut open: Vec<String> = all.iter().cloned().collect();
    let steps: [fn(&str) -> String; 10] = [
        folded_case,
        folded_forms,
        without_marks,
        |path| path.replace('\\', "/"),
        with_one_slash,
        resolved,
        |path| {
            each(path, |segment| {
                segment.split(';').next().unwrap().to_owned()
            })
        },
        |path| path.split(['\0', ';', '?', '#']).next().unwrap().to_owned(),
        |path| each(path, |segment| trimmed(segment).to_owned()),
        |path| path.strip_suffix('/').unwrap_or(path).to_owned(),
    ];
    while let Some(path) = open.pop() {
        for step in steps {
            let next = step(&path);
            if all.insert(next.clone()) {
                open.push(next);
            }
        }
        assert!(all.len() < MAX_READINGS, "{target}");
    }
    all
}

fn each(path: &str, change: impl Fn(&str) -> String) -> String {
    path.split('/').map(change).collect::<Vec<_>>().join("/")
}

fn decoded(path: &str) -> String {
    let mut octets = Vec::new();
    let mut rest = path.as_bytes();
    while let [first, tail @ ..] = rest {
        let digits = tail
            .get(..2)
            .and_then(|digits| std::str::from_utf8(digits).ok());
        let octet = digits.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match octet.filter(|_| *first == b'%') {
            Some(octet) => {
                octets.push(octet);
                rest = &tail[2..];
            }
            None => {
                octets.push(*first);
                rest = tail;
            }
        }
    }
    // Overlong forms are read as what they stand for.
    let octets = octets.replace_all(&[0xc0, 0xae], b".");
    let octets = octets.replace_all(&[0xc0, 0xaf], b"/");
    String::from_utf8_lossy(&octets).into_owned()
}

trait ReplaceAll {
    fn replace_all(&self, what: &[u8], with: &[u8]) -> Vec<u8>;
}

impl ReplaceAll for Vec<u8> {
    fn replace_all(&self, what: &[u8], with: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut rest = self.as_slice();
        while let Some((first, tail)) = rest.split_first() {
            match rest.strip_prefix(what) {
                Some(after) => {
                    out.extend(with);
                    rest = after;
                }
                None => {
                    out.push(*first);
                    rest = tail;
                }
            }
        }
        out
    }
}

/// Lower case, with the letters that only case folding makes ASCII.
fn folded_case(path: &str) -> String {
    path.to_lowercase()
        .replace(['ſ', 'ẛ'], "s")
        .replace('ı', "i")
}

/// As the compatibility forms of Unicode, as far as they become ASCII, and what some servers take for it.
fn folded_forms(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        match c {
            '\u{ff01}'..='\u{ff5e}' => out.push(char::from_u32(u32::from(c) - 0xfee0).unwrap()),
            '\u{3000}' | '\u{a0}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' => {
                out.push(' ')
            }
            '\u{2024}' | '\u{fe52}' => out.push('.'),
            '\u{2025}' | '\u{fe30}' => out.push_str(".."),
            '\u{2026}' | '\u{fe19}' => out.push_str("..."),
            '\u{2044}' | '\u{2215}' | '\u{29f8}' => out.push('/'),
            '\u{fe68}' | '\u{2216}' | '\u{29f5}' => out.push('\\'),
            '\u{37e}' | '\u{fe54}' | '\u{fe14}' => out.push(';'),
            '\u{24b6}'..='\u{24e9}' => {
                let letter = (u32::from(c) - 0x24b6) % 26 + u32::from('a');
                out.push(char::from_u32(letter).unwrap());
            }
            '\u{212a}' => out.push('k'),
            '\u{fb01}' => out.push_str("fi"),
            '\u{fb06}' => out.push_str("st"),
            'ⁱ' => out.push('i'),
            'ˢ' => out.push('s'),
            'ª' => out.push('a'),
            _ => out.push(c),
        }
    }
    out
}

/// Without accents, and without what is not seen.
fn without_marks(path: &str) -> String {
    let mut out = String::new();
    for c in path.chars() {
        match c {
            '\u{300}'..='\u{36f}'
            | '\u{ad}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2060}'
            | '\u{feff}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{fffd}' => {}
            'á' | 'à' | 'ä' | 'å' => out.push('a'),
            'é' | 'è' | 'ë' => out.push('e'),
            'í' | 'ì' | 'ï' => out.push('i'),
            _ => out.push(c),
        }
    }
    out
}

fn with_one_slash(path: &str) -> String {
    let mut out = path.to_owned();
    while out.contains("//") {
        out = out.replace("//", "/");
    }
    out
}

/// RFC 3986 section 5.2.4.
fn resolved(path: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => {
                out.pop();
            }
            _ => out.push(segment),
        }
    }
    format!("/{}", out.join("/"))
}

/// Without the spaces around it, and without the dots at its end, if anything is left.
fn trimmed(segment: &str) -> &str {
    let spaced = segment.trim_matches([' ', '\t']);
    match spaced.trim_end_matches(['.', ' ']) {
        "" => spaced,
        rest => rest,
    }
}
