#!/usr/bin/env python3
"""Decides requests as docs/configuration.md and docs/git.md say, without a line of the filter's own code.

Reads one JSON document from stdin and prints one line of JSON for each request:

    {"config": …, "people": […], "workspaces": […], "programs": […], "requests": […]}

`config` is a configuration of the filter. `people` and `workspaces` are what Bitbucket knows. `programs` are
the claims of signed tokens. A request is {"person": index or null, "program": index or null,
"scopes": index, "method": …, "path": …, "page": bool}; a program counts before a person. The answer is

    {"verdict": …, "status": …, "reasons": […], "rule": index or null, "inject": …, "trials": […]}

`verdict` is one of allow, deny, sign_in, no_rule, bad_path. `reasons` are the codes that the refusal
may have: where several conditions fail, the documentation does not say which is named. A trial is
[index of the rule, reasons], for each shadow rule on the way; no reasons if it would have allowed.

It is slow and simple on purpose: a tree of conditions is walked, rules are tried one by one, and a
fact is looked up in the data. Python 3, standard library only.
"""

import json
import re
import sys

from matching import BadPath, Rule, Undecided, listed, matches, normalised

WORKSPACE = re.compile(r"[a-z0-9_-]{1,62}")
REPOSITORY = re.compile(r"[a-z0-9._-]{1,62}")
UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.IGNORECASE)
PROJECT_KEY = re.compile(r"[A-Z][A-Z0-9_]{0,127}")

PERMISSIONS = ["read", "write", "admin"]

# "Each includes those before it" for permissions; scopes imply others as Bitbucket's table says.
IMPLIED = {
    "account:write": ["account"],
    "account": ["email"],
    "team:write": ["team"],
    "repository:write": ["repository"],
    "project": ["repository"],
    "pullrequest": ["repository"],
    "pullrequest:write": ["pullrequest", "repository:write"],
    "issue:write": ["issue"],
    "snippet:write": ["snippet"],
    "pipeline:write": ["pipeline"],
    "pipeline:variable": ["pipeline:write"],
    "runner:write": ["runner"],
}


# --- Conditions -------------------------------------------------------------------------------------

YES, NO, VOID = "yes", "no", "void"

FOR_ALL = ["all_of", "any_of", "not", "principal"]
FOR_PROGRAMS = ["pipeline", "issuer"]


def name_of(text, slug):
    """A workspace's or repository's name: ("slug" or "uuid", text), or None if it is none."""
    if text.startswith("{") and text.endswith("}"):
        return ("uuid", text.lower()) if UUID.fullmatch(text[1:-1]) else None
    # A UUID without its braces is no name, and neither is a row of dots.
    if UUID.fullmatch(text) or not slug.fullmatch(text) or not text.strip("."):
        return None
    return ("slug", text)


class Person:
    """Somebody with a session, and what Bitbucket says of them."""

    kind = "person"

    def __init__(self, world, person, scopes):
        self.world = world
        self.id = person["account_id"]
        self.scopes = scopes
        primary = [e for e in person["emails"] if e["is_primary"] and e["is_confirmed"]]
        self.domain = primary[0]["email"].rpartition("@")[2].lower() if primary else None

    def has_scope(self, wanted):
        held = list(self.scopes)
        for scope in held:
            held += [implied for implied in IMPLIED.get(scope, []) if implied not in held]
        return wanted in held

    def workspaces(self):
        return [w for w in self.world.workspaces if self.id in w["members"]]

    def grants(self, workspace):
        """Repositories with the permission that was granted to the person."""
        for repository in workspace["repositories"]:
            permission = repository["permissions"].get(self.id)
            if permission:
                yield repository, permission

    def find(self, text, from_path):
        """(state, workspace). `here`: they are something in it. `nothing`: they are not. `no_name`: the
        path has something else there. `reused`: a slug of the path that is not what it was. `moved`: a
        workspace that a rule names has another slug now."""
        name = name_of(text, WORKSPACE)
        if name is None:
            return "no_name", None
        kind, text = name
        pin = self.world.pins.get(text) if kind == "slug" else None
        if pin and not from_path:
            # The slug of a rule belongs to this UUID, whatever Bitbucket calls it now.
            for workspace in self.workspaces():
                if workspace["uuid"] == pin:
                    return "here" if workspace["slug"] == text else "moved", workspace
            return "nothing", None
        for workspace in self.workspaces():
            if workspace[kind] == text:
                return "reused" if pin and workspace["uuid"] != pin else "here", workspace
        is_theirs = any(workspace["uuid"] == pin for workspace in self.workspaces())
        return "reused" if is_theirs else "nothing", None


def rank(permission):
    return PERMISSIONS.index(permission)


class World:
    def __init__(self, document):
        config = document["config"]
        self.rules = [Rule(index, rule) for index, rule in enumerate(config["rules"])]
        self.pins = {slug: uuid.lower() for slug, uuid in config.get("workspaces", {}).items()}
        repositories = config.get("repositories", {})
        self.repository_pins = {path: uuid.lower() for path, uuid in repositories.items()}
        groups = config.get("groups", {})
        self.workspaces = document["workspaces"]
        self.groups = dict(groups)
        if groups.get("source") == "bitbucket":
            (source,) = [w for w in self.workspaces if groups["workspace"] in (w["slug"], w["uuid"])]
            self.groups = {**source["groups"], **groups.get("members", {})}
        self.asks_as_bot = "bot" in config.get("rights", {})
        issuers = config.get("issuers", [])
        self.issuers = [issuer["issuer"] for issuer in issuers if "issuer" in issuer]
        presets = [issuer["bitbucket_pipelines"] for issuer in issuers if "bitbucket_pipelines" in issuer]
        self.presets = {preset["workspace"]: preset["workspace_uuid"].lower() for preset in presets}
        self.programs = document["programs"]
        self.people = document["people"]
        self.scopes = document["scopes"]


class Program:
    """A step of a pipeline or a caller of another issuer, and what its token says."""

    def __init__(self, world, claims):
        self.claims = claims
        self.kind = "bot" if claims["iss"] in world.issuers else "pipeline"

    def is_of(self, kind, text, world):
        """Whether the token says this workspace."""
        uuid = text if kind == "uuid" else world.presets.get(text)
        return YES if uuid == self.claims["workspaceUuid"].lower() else NO

    def is_from(self, kind, text, world):
        """Whether the token says this repository, of the token's own workspace."""
        uuid = self.claims["repositoryUuid"].lower()
        if kind == "uuid":
            return YES if uuid == text else NO
        workspace_uuid = self.claims["workspaceUuid"].lower()
        (slug,) = [slug for slug, known in world.presets.items() if known == workspace_uuid]
        pin = world.repository_pins.get(f"{slug}/{text}")
        if pin:
            return YES if uuid == pin else NO
        if not world.asks_as_bot:
            # Nobody knows what it is called.
            return VOID
        (workspace,) = [w for w in world.workspaces if w["uuid"] == workspace_uuid]
        is_called = any((r["uuid"], r["slug"]) == (uuid, text) for r in workspace["repositories"])
        return YES if is_called else NO


class Evaluation:
    """One request of one person or program under one rule."""

    def __init__(self, world, principal, method, captures):
        self.world, self.principal, self.method, self.captures = world, principal, method, captures
        # Codes of conditions in a `not` that are void beside others.
        self.void, self.is_turned = set(), False
        self.person = principal if isinstance(principal, Person) else None

    def part(self, text):
        """The text of a part, and whether it comes from the path."""
        found = re.fullmatch(r"\{([A-Za-z0-9_]+)\}", text)
        if not found:
            return text, False
        value = self.captures[found[1]]
        return re.sub(r"%([0-9A-F]{2})", lambda hexed: chr(int(hexed[1], 16)), value), True

    def no_name(self, kind, text):
        """The code of a condition whose path has something else where a name should be."""
        if kind == "workspace":
            return None if name_of(self.part(text)[0], WORKSPACE) else "not_a_member"
        if kind in ("repository", "project"):
            owner, _, rest = (self.part(part)[0] for part in text.partition("/"))
            is_name = PROJECT_KEY.fullmatch(rest) if kind == "project" else name_of(rest, REPOSITORY)
            return None if is_name and name_of(owner, WORKSPACE) else "insufficient_permission"
        return None

    def needed(self, condition):
        permission = condition.get("permission", "read")
        if permission == "by_method":
            permission = "read" if self.method in ("GET", "HEAD", "OPTIONS") else "write"
        return permission

    def holds(self, condition):
        """(truth, reasons): the codes of a refusal that it may lead to."""
        if condition == "nobody":
            return NO, {"forbidden"}
        if condition == "signed_in":
            return (YES, set()) if self.person else (NO, {"wrong_principal"})
        (kind,) = [key for key in condition if key not in ("role", "permission", "subject")]
        value = condition[kind]
        if kind not in FOR_ALL and (kind in FOR_PROGRAMS) == bool(self.person):
            # It asks for something that this kind of principal does not have; or the path has something else
            # where a name should be, and that is found first.
            return VOID, {self.no_name(kind, value) or "wrong_principal"}
        truth, reasons = getattr(self, "of_" + kind)(value, condition)
        return truth, set() if truth == YES else reasons

    def of_all_of(self, parts, _):
        found = [self.holds(part) for part in parts]
        failed = [(truth, codes) for truth, codes in found if truth != YES]
        if failed:
            truth = NO if any(truth == NO for truth, _ in failed) else VOID
            if self.is_turned:
                # It need not be known whether the others hold, so it may stay void.
                self.void |= set().union(*(codes for truth, codes in failed if truth == VOID))
            return truth, set().union(*(codes for _, codes in failed))
        return YES, set()

    def of_any_of(self, parts, _):
        found = [self.holds(part) for part in parts]
        if any(truth == YES for truth, _ in found):
            return YES, set()
        # One common reason, if there is one, of the conditions for this kind of principal.
        reasons = [codes for _, codes in found if codes != {"wrong_principal"}] or [{"wrong_principal"}]
        common = set.intersection(*reasons)
        reasons = reasons[0] if len(reasons) == 1 else common | {"not_allowed"}
        return (VOID if any(truth == VOID for truth, _ in found) else NO), reasons

    def of_not(self, part, _):
        self.is_turned = True
        truth, reasons = self.holds(part)
        if truth == VOID:
            return VOID, reasons
        return (NO, {"not_allowed"}) if truth == YES else (YES, set())

    def either(self, holds, reason):
        return (YES if holds else NO), {reason}

    def of_account(self, ids, _):
        return self.either(self.person.id in listed(ids), "account_not_listed")

    def of_email_domain(self, domains, _):
        if self.person.domain is None:
            return VOID, {"email_not_allowed"}
        return self.either(self.person.domain in listed(domains), "email_not_allowed")

    def of_scope(self, scopes, _):
        has_all = all(self.person.has_scope(scope) for scope in listed(scopes))
        return self.either(has_all, "insufficient_scope")

    def of_group(self, name, _):
        return self.either(self.person.id in self.world.groups.get(name, []), "not_in_group")

    def of_principal(self, kind, _):
        return self.either(kind == self.principal.kind, "wrong_principal")

    def of_issuer(self, issuer, condition):
        claims = self.principal.claims
        subjects = listed(condition.get("subject", claims["sub"]))
        return self.either(claims["iss"] == issuer and claims["sub"] in subjects, "pipeline_not_allowed")

    def of_pipeline(self, wanted, _):
        if self.principal.kind != "pipeline":
            return VOID, {"wrong_principal"}
        step = self.principal
        parts = []
        for part, slug, says in [("workspace", WORKSPACE, step.is_of), ("repository", REPOSITORY, step.is_from)]:
            if part in wanted:
                name = name_of(self.part(wanted[part])[0], slug)
                if name is None:
                    return VOID, {"pipeline_not_allowed"}
                parts.append(says(*name, self.world))
        if "branch" in wanted:
            branch = step.claims.get("branchName")
            is_on = branch is not None and any(is_like(branch, like) for like in listed(wanted["branch"]))
            parts.append(YES if is_on else NO)
        if "deployment_environment" in wanted:
            environments = [uuid.lower() for uuid in listed(wanted["deployment_environment"])]
            parts.append(YES if step.claims.get("deploymentEnvironmentUuid") in environments else NO)
        truths = [truth for truth in (NO, VOID) if truth in parts] or [YES]
        return truths[0], {"pipeline_not_allowed"}

    def of_workspace(self, text, condition):
        state, workspace = self.person.find(*self.part(text))
        if state == "no_name":
            return VOID, {"not_a_member"}
        if state in ("reused", "moved"):
            return VOID, {"slug_reused"}
        role = workspace["members"][self.person.id] if workspace else None
        wanted = ("owner",) if condition.get("role") == "owner" else ("member", "owner")
        return self.either(role in wanted, "not_a_member")

    def of_repository(self, text, condition):
        owner, _, repository = text.partition("/")
        state, workspace = self.person.find(*self.part(owner))
        name = name_of(self.part(repository)[0], REPOSITORY)
        if name is None or state == "no_name":
            return VOID, {"insufficient_permission"}
        grants = list(self.person.grants(workspace)) if workspace else []
        # That it has moved is seen where there is something to see.
        if state == "reused" or (state == "moved" and grants):
            return VOID, {"slug_reused"}
        kind, text = name
        if kind == "slug" and workspace:
            pin = self.world.repository_pins.get(f"{workspace['slug']}/{text}")
            for found, _ in grants:
                # The slug is another repository's, or the repository has another slug.
                if pin and (found["slug"] == text) != (found["uuid"] == pin):
                    return VOID, {"slug_reused"}
        needed = rank(self.needed(condition))
        holds = any(found[kind] == text and rank(held) >= needed for found, held in grants)
        return self.either(holds, "insufficient_permission")

    def of_project(self, text, condition):
        owner, _, key = text.partition("/")
        state, workspace = self.person.find(*self.part(owner))
        key = self.part(key)[0]
        if not PROJECT_KEY.fullmatch(key) or state == "no_name":
            return VOID, {"insufficient_permission"}
        needed = rank(self.needed(condition))
        grants = self.person.grants(workspace) if workspace else []
        projects = [found["project"] for found, held in grants if rank(held) >= needed]
        if state == "reused" or (state == "moved" and projects):
            return VOID, {"slug_reused"}
        return self.either(key in projects, "insufficient_permission")


def is_like(branch, pattern):
    """A `*` at the end stands for any rest."""
    return branch.startswith(pattern[:-1]) if pattern.endswith("*") else branch == pattern


# --- Requests ---------------------------------------------------------------------------------------


def judge(world, principal, request, rule, captures):
    """(verdict, status, reasons) of one rule."""
    path = request["normalised"]
    if rule.allow == "public":
        if "%23" in path or "%3F" in path:
            return "bad_path", 400, {"bad_request"}
        return "allow", 200, set()
    if rule.allow == "nobody":
        return "deny", 403, {"forbidden"}
    if principal is None:
        return "sign_in", 302 if request["page"] else 401, {"no_session"}
    evaluation = Evaluation(world, principal, request["method"], captures)
    truth, reasons = evaluation.holds(rule.allow)
    if truth != YES:
        return "deny", 403, reasons | evaluation.void
    if injected(rule, principal) in ("bearer", "git") and isinstance(principal, Program):
        # It has no token that Bitbucket takes.
        return "deny", 403, {"no_token"}
    return "allow", 200, set()


def injected(rule, principal):
    """What the service gets: bearer, git, identity, none, or a bot's credential as bot_bearer or bot_git."""
    inject = rule.inject
    if isinstance(inject, str):
        return inject
    form = inject.get("as", "bearer")
    has_own = inject.get("own_first", False) and isinstance(principal, Person)
    return form if has_own else f"bot_{form}"


def decide(world, request):
    principal = None
    if request.get("program") is not None:
        principal = Program(world, world.programs[request["program"]])
    elif request["person"] is not None:
        principal = Person(world, world.people[request["person"]], world.scopes[request["scopes"]])
    answer = {"rule": None, "inject": None, "trials": []}

    def trials(found):
        for rule, captures in found:
            _, _, reasons = judge(world, principal, request, rule, captures)
            # A rule on trial is not asked about the path: the one that decides is.
            reasons -= {"bad_request"}
            answer["trials"].append([rule.index, sorted(reasons)])

    try:
        request["normalised"] = path = normalised(request["path"])
        _, mark, query = request["path"].partition("?")
        found, rule, captures = matches(world.rules, request["method"], path, query if mark else None)
        trials(found)
    except BadPath:
        return {**answer, "verdict": "bad_path", "status": 400, "reasons": ["bad_request"]}
    except Undecided as on_the_way:
        trials(on_the_way.args[0])
        return {**answer, "verdict": "bad_path", "status": 400, "reasons": ["bad_request"]}
    if rule is None:
        return {**answer, "verdict": "no_rule", "status": 403, "reasons": ["no_rule"]}
    verdict, status, reasons = judge(world, principal, request, rule, captures)
    is_known = verdict == "allow" and rule.allow != "public"
    inject = injected(rule, principal) if is_known else None
    answer.update(rule=rule.index, inject=inject)
    return {**answer, "verdict": verdict, "status": status, "reasons": sorted(reasons)}


def main():
    document = json.load(sys.stdin)
    world = World(document)
    for request in document["requests"]:
        print(json.dumps(decide(world, request)))


if __name__ == "__main__":
    main()
