"""The methods of environments: building one for a person who watches, listing, removing."""

import os

from . import build_remains, checks, environment_store, spec, spec_environment
from .atomic import read_object
from .build_wait import BuildWait
from .environment_store import Build, builds_of
from .environment_wait import facts_for_people
from .errors import AgentError
from .failure import tail_of
from .submit import check_manifest
from .uses import count_sharers

#: The longest piece of a log in one reply, bytes.
_PIECE = 1 << 20


class EnvironmentMethods(object):
    """Answers requests; what is built for them is of interest until it is released, or until this process ends."""

    def __init__(self, root, store):
        self._root = root
        self._store = store
        self._waits = {}  # (key, build) -> those who are interested in it through this channel
        self.table = {"environment.build": self._build, "environment.poll": self._poll,
                      "environment.release": self._release, "environments.list": self._list,
                      "environment.remove": self._remove}

    def _build(self, params, _):
        environment = spec_environment.check(params.get("environment"))
        if environment is None or environment["recipe"] is None:
            raise AgentError("bad_request", "There is nothing to build in this environment.")
        variables = params.get("variables")
        if variables is not None:
            spec.check_variables(variables, "variables")
        folders = self._store.folders + checks.absolute_paths(params.get("blobs"), "blobs")
        for hash in spec_environment.contexts(environment):
            for _ in check_manifest(folders, hash, "the environment's files"):
                yield
        wait = BuildWait(self._root, environment, folders, dict(os.environ) if variables is None else variables,
                         rebuild=params.get("rebuild") is True, scope=True)
        try:
            while wait.build is None:
                try:
                    wait.poll()
                except AgentError:
                    if wait.build is None:
                        raise
                    break  # it has failed at once; `environment.poll` says so
                if wait.build is None:
                    yield 0.02
        except BaseException:
            wait.close()
            raise
        name = (wait.plan.key, wait.build.number)
        self._waits.setdefault(name, []).append(wait)
        return {"key": name[0], "build": name[1]}, b""

    def _poll(self, params, _):
        name = _name(params)
        offset = checks.number(params.get("offset", 0), "offset", 0, 1 << 62)
        waits = self._waits.get(name)
        build = Build(self._root, *name)
        answer = {"reason": None, "error": None, "facts": None}
        if waits:
            wait = waits[-1]
            build = wait.build or build
            try:
                facts = wait.poll()
                state = "building" if facts is None else "ready"
                answer["reason"] = wait.reason() if facts is None else None
            except AgentError as error:
                state, facts = "failed", None
                answer["error"] = dict(error.as_json(), tail=getattr(error, "tail", ""))
        else:
            state, facts = _seen(build, answer)
        if facts is not None:
            answer["facts"] = facts_for_people(facts)
        size, data = _read(build.log, offset)
        return dict(answer, state=state, size=size), data

    def _release(self, params, _):
        waits = self._waits.get(_name(params))
        if waits:
            waits.pop().close()
            if not waits:
                del self._waits[_name(params)]
        return {}, b""

    def _list(self, _params, _):
        found = []
        for key in environment_store.all_keys(self._root):
            yield
            entry = _entry(self._root, key)
            if entry is not None:
                found.append(entry)
        return {"environments": found}, b""

    def _remove(self, params, _):
        key = _key(params)
        builds = builds_of(self._root, key)
        if not builds:
            raise AgentError("not_found", "This host has no environment %s." % key)
        for build in builds:
            if build.state() == "building":
                raise AgentError("conflict", "The environment is being built.", "Wait for the build, or cancel it.")
            if build.state() == "ready" and build.is_used():
                raise AgentError("conflict", "A run uses the environment.", "Wait for its end, or cancel it.")
        for build in builds:
            went = yield from build_remains.take_away(build, ("ready", "failed", "dead"))
            if not went and os.path.exists(build.folder):
                raise AgentError("conflict", "The environment has just come into use.", "Try again later.")
        return {}, b""


def _seen(build, answer):
    """State and facts of a build in which this channel has no interest (any more)."""
    if not os.path.isdir(build.folder):
        return "canceled", None
    state = build.state()
    if state == "ready":
        return state, read_object(build.facts)
    if state == "failed":
        answer["error"] = dict(read_object(build.failed) or {}, tail=tail_of(build.log))
    return "canceled" if state == "dead" else state, None


def _entry(root, key):
    """An item of environments.list; None for what is just going."""
    states = [(build, build.state()) for build in builds_of(root, key)]
    ready = [build for build, state in states if state == "ready"]
    kinds = [state for _, state in states]
    state = "ready" if ready else "building" if "building" in kinds else "failed" if "failed" in kinds else None
    if state is None:
        return None
    about = environment_store.about(root, key)
    facts = (read_object(ready[0].facts) or {}) if ready else {}
    used = None
    if ready:
        try:
            # Noted now and then only: it cannot be earlier than the build.
            used = max(os.stat(ready[0].interest).st_mtime_ns // 1000000, facts.get("built") or 0)
        except OSError:
            pass
    packages = facts.get("packages")
    return {"key": key, "hash": about.get("hash"), "name": about.get("name"), "version": about.get("version"),
            "label": about.get("label"), "kind": about.get("kind"), "state": state,
            "bytes": facts.get("bytes"),
            "built_at": facts.get("built"), "used_at": used,
            "in_use": sum(count_sharers(build.interest) for build in ready),
            "packages": len(packages) if isinstance(packages, list) else None, "image": facts.get("image")}


def _key(params):
    key = params.get("key")
    if not environment_store.is_key(key):
        raise AgentError("bad_request", "%s is no key of an environment." % checks.shown(key))
    return key


def _name(params):
    return _key(params), checks.number(params.get("build"), "build", 1, 1 << 31)


def _read(log, offset):
    try:
        fd = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0, b""
    try:
        return os.fstat(fd).st_size, os.pread(fd, _PIECE, offset)
    finally:
        os.close(fd)
