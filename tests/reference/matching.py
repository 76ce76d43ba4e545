"""Which rule a request belongs to, as docs/configuration.md says."""

import re
import unicodedata

AS_IT_IS = re.compile(r"[A-Za-z0-9\-._~!$&'()+,=:@]")


class BadPath(Exception):
    """Two servers could read it in two ways."""


def normalised(target):
    """The one normalisation: path without query, what may stand in a segment decoded, all else encoded
    with hexadecimal digits in upper case. Refuses what has two readings, apart from %2F and `;`."""
    if any(not "!" <= c <= "~" for c in target) or "\\" in target or "#" in target:
        raise BadPath
    path = target.partition("?")[0]
    if not path.startswith("/"):
        raise BadPath
    if re.search(r"%(?![0-9A-Fa-f]{2})", path):
        raise BadPath
    octets = bytearray()
    text = []
    for found in re.finditer(r"%([0-9A-Fa-f]{2})|(.)", path):
        if found[2]:
            octets += found[2].encode()
            is_kept = found[2] in "/;" or AS_IT_IS.fullmatch(found[2])
            text.append(found[2] if is_kept else f"%{ord(found[2]):02X}")
            continue
        octet = int(found[1], 16)
        octets.append(octet)
        character = chr(octet)
        if character in ".\\" or octet < 0x20 or octet == 0x7F:
            raise BadPath
        text.append(character if AS_IT_IS.fullmatch(character) else "%" + found[1].upper())
    try:
        decoded = octets.decode()
    except UnicodeDecodeError:
        raise BadPath from None
    if any(segment in (".", "..") for segment in folded(decoded)):
        raise BadPath
    path = "".join(text)
    for reading in readings(path):
        if "//" in reading or any(segment in (".", "..") for segment in reading.split("/")):
            raise BadPath
    return path


def folded(decoded):
    """The segments that a server sees which folds Unicode and trims names."""
    text = unicodedata.normalize("NFKC", decoded)
    text = "".join(c for c in text if unicodedata.category(c) not in ("Cf", "Mn"))
    segments = re.split("[/\\\\\u2044\u2215\u2216\u29f5\u29f8]", text)
    return [segment.partition(";")[0].strip() for segment in segments]


def is_ambiguous(path):
    return any(mark in path for mark in ("%2F", ";", "%3B"))


def readings(path):
    """All that servers may take it for: each may decode `%2F`, and cut parameters off each segment or
    all that follows, in any order."""
    path = path.replace("%3B", ";")
    found = [path]
    for reading in found:
        steps = [
            reading.replace("%2F", "/"),
            "/".join(segment.partition(";")[0] for segment in reading.split("/")),
            reading.partition(";")[0],
        ]
        found += [step for step in dict.fromkeys(steps) if step not in found]
    return found


class Template:
    def __init__(self, text):
        self.is_open = text.endswith("/**")
        body = text[: -len("/**")] if self.is_open else text
        self.segments = body.split("/")[1:]
        self.patterns = [self.pattern(segment) for segment in self.segments]

    @staticmethod
    def pattern(segment):
        prefix, brace, rest = segment.partition("{")
        if not brace:
            return re.compile(re.escape(segment))
        name, _, suffix = rest.partition("}")
        return re.compile(f"{re.escape(prefix)}(?P<{name}>.+){re.escape(suffix)}")

    def match(self, path, is_clear=lambda segment: True):
        """The captures, or None."""
        found = path.split("/")[1:]
        if len(found) < len(self.patterns) or (len(found) > len(self.patterns) and not self.is_open):
            return None
        captures = {}
        for pattern, segment in zip(self.patterns, found):
            matched = pattern.fullmatch(segment)
            if not matched or not is_clear(segment):
                return None
            captures.update(matched.groupdict())
        return captures


SERVICES = {"read": "git-upload-pack", "write": "git-receive-pack"}
LFS = re.compile("/info/lfs/(objects/batch|locks|locks/verify|locks/[^/]+/unlock)")


def is_of_git(word, ending):
    """Whether a path that ends like this behind that of a repository is one of git's."""
    if word == "lfs":
        return LFS.fullmatch(ending)
    return ending in ("/info/refs", f"/{SERVICES[word]}")


def asks_git(word, method, ending, query):
    """Whether this is what git asks there. The query is None where there is no question mark."""
    if method == "GET" and ending == "/info/lfs/locks":
        # The query is what it looks for.
        return word == "lfs"
    if method == "GET" and ending == "/info/refs":
        return word != "lfs" and query == f"service={SERVICES[word]}"
    return method == "POST" and ending != "/info/refs" and query is None


class Rule:
    def __init__(self, index, rule):
        matched = rule["match"]
        paths = matched.get("paths") or [matched["path"]]
        self.index = index
        self.git = listed(matched.get("git", []))
        if self.git:
            # "The path of a rule is that of a repository, with .git at its end or without, and the rule
            # matches these requests to it, both with .git and without."
            paths = [path.removesuffix(".git") + end for path in paths for end in (".git", "")]
        self.templates = [Template(path) for path in paths]
        self.methods = matched.get("methods")
        self.is_raw = matched.get("tail") == "raw"
        self.allow = rule["allow"]
        self.inject = rule.get("inject", "identity")
        self.is_shadow = rule.get("shadow", False)

    def match(self, method, path, query, is_clear=lambda segment: True):
        if self.methods is not None and method not in self.methods:
            return None
        if self.git:
            return self.match_git(path, lambda word, ending: asks_git(word, method, ending, query))
        for template in self.templates:
            captures = template.match(path, is_clear)
            if captures is not None:
                return captures
        return None

    def might_match(self, method, path):
        """In one reading of a path that has several. Of what git asks the path alone counts then."""
        if self.git:
            return self.match_git(path, lambda word, ending: True) is not None
        return self.match(method, path, None) is not None

    def match_git(self, path, asks):
        for template in self.templates:
            for end in (place for place, c in enumerate(path) if c == "/"):
                if any(is_of_git(word, path[end:]) and asks(word, path[end:]) for word in self.git):
                    captures = template.match(path[:end])
                    if captures is not None:
                        return captures
        return None


def listed(value):
    return value if isinstance(value, list) else [value]


def matches(rules, method, path, query):
    """The rules for a request on trial, and the one that decides, each with its captures."""
    trials = []
    for rule in rules:
        if is_ambiguous(path):
            captures = None
            if rule.is_raw:
                # The tail is what the segments of the template do not reach.
                captures = rule.match(method, path, query, lambda segment: not is_ambiguous(segment))
            if captures is None:
                might = any(rule.might_match(method, reading) for reading in readings(path))
                if might and not rule.is_shadow:
                    raise Undecided(trials)
                continue
        else:
            captures = rule.match(method, path, query)
            if captures is None:
                continue
        if rule.is_shadow:
            trials.append((rule, captures))
        else:
            return trials, rule, captures
    if is_ambiguous(path):
        raise Undecided(trials)
    return trials, None, None


class Undecided(Exception):
    """No rule lets an ambiguous path through; what was on trial on the way."""
