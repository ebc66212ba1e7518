"""The container engine of a host: docker, or podman where that stands in for it; where there is neither, apptainer or
singularity, which have no engine that runs (see apptainer.py).

What it is (kind, version, rootless) costs up to three processes, so it is kept in `environments/engine.json`.
"""

import json
import os
import time

from . import engine_problem
from .atomic import read_object, write_json
from .digest import small_sha256
from .tool import Tool, find

#: The variables that decide which engine is spoken to, and how. None of them holds a secret.
VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CONFIG",
             "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "DOCKER_API_VERSION", "CONTAINER_HOST", "CONTAINER_CONNECTION",
             "CONTAINER_SSHKEY", "CONTAINERS_CONF", "CONTAINERS_STORAGE_CONF", "CONTAINERS_REGISTRIES_CONF",
             "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "DBUS_SESSION_BUS_ADDRESS", "SSH_AUTH_SOCK",
             "RUNYARD_ENGINE")

#: What is looked for, in this order; on a node of a cluster nobody takes the daemon of docker who has something else.
ORDER = ("docker", "podman", "apptainer", "singularity")
NODE_ORDER = ("apptainer", "singularity", "podman", "docker")

#: Those without an engine that runs: a container is a command's processes.
PLAIN = ("apptainer", "singularity")

#: Those of them by which what is known of an engine is told from what is known of another one.
_PLACES = ("HOME", "DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST", "CONTAINER_CONNECTION", "CONTAINERS_CONF",
           "XDG_RUNTIME_DIR")

#: Seconds until an engine that says nothing counts as one that does not answer.
PATIENCE = 20.0

#: Seconds after which an engine is asked again what it is: it may have been set up anew.
_FRESH = 86400.0


def variables(source):
    """Those of `source` by which the engine is found."""
    found = {name: source[name] for name in VARIABLES if name in source}
    usual = "/run/user/%d" % os.getuid()
    if "XDG_RUNTIME_DIR" not in found and os.path.isdir(usual):
        found["XDG_RUNTIME_DIR"] = usual
    return found


class Engine(object):
    """An engine as it was when it was last asked. Making one costs nothing."""

    def __init__(self, program, kept, kind="docker", version=None, rootless=False, remapped=False):
        self.program = program
        self.variables = kept
        self.kind = kind
        self.version = version
        self.rootless = rootless
        self.remapped = remapped  # rootful docker whose containers have user ids of their own (userns-remap)

    @property
    def name(self):
        """For people."""
        return self.kind.capitalize()

    @property
    def plain(self):
        """Whether a container is nothing but processes of who starts it (apptainer, singularity)."""
        return self.kind in PLAIN

    def tool(self, words, seconds=PATIENCE, **options):
        """Starts the engine's program with these arguments; gives a Tool that keeps its stderr, too."""
        options.setdefault("errors", "output" not in options)
        return Tool([self.program] + list(words), seconds, self.variables, bound=True, **options)

    def ask(self, words, seconds=PATIENCE):
        """A generator (turns) that runs the program to its end and returns the ended Tool."""
        tool = self.tool(words, seconds)
        try:
            while not tool.poll():
                yield 0.005
        finally:
            tool.close()
        return tool

    def problem(self, tool):
        """The AgentError for a Tool that failed because the engine is away or closed to this user, else None."""
        return engine_problem.of_text(self, tool.errors if tool.code is not None else None)

    def as_json(self):
        """What is needed to speak to this engine again, from another process."""
        return {"program": self.program, "variables": self.variables, "kind": self.kind, "version": self.version,
                "rootless": self.rootless, "remapped": self.remapped}


def from_json(kept):
    """The Engine that `as_json` has described; None when that makes no sense."""
    if not isinstance(kept, dict) or not isinstance(kept.get("program"), str):
        return None
    given = kept.get("variables")
    given = given if isinstance(given, dict) else {}
    return Engine(kept["program"], {name: given[name] for name in VARIABLES if isinstance(given.get(name), str)},
                  kept["kind"] if kept.get("kind") in ORDER else "docker", kept.get("version"),
                  kept.get("rootless") is True, kept.get("remapped") is True)


def chosen(spec, variables):
    """The variables by which a run's engine is found: its own RUNYARD_ENGINE counts more than that of the host."""
    own = spec["variables"].get("RUNYARD_ENGINE")
    return dict(variables, RUNYARD_ENGINE=own) if own is not None else variables


def known(root, source, order=ORDER):
    """The engine without asking it (no process is started): None when it has to be asked first.
    AgentError engine when there is none."""
    program, kept = find_program(source, order)
    entry = (read_object(_path(root)) or {}).get(_key(program, kept))
    if not isinstance(entry, dict) or not 0 <= time.time() - _number(entry.get("asked")) < _FRESH:
        return None
    return from_json(dict(entry, program=program, variables=kept))


def get(root, source, order=ORDER):
    """A generator (turns) that returns the engine: as it is known, else asked."""
    return known(root, source, order) or (yield from look(root, source, order))


def look(root, source, order=ORDER):
    """A generator (turns) that asks the engine what it is and returns it. AgentError engine when there is none, or
    it does not run, or is closed to this user."""
    program, kept = find_program(source, order)
    engine = Engine(program, kept, (yield from _kind(program, kept)))
    facts = {}
    if engine.plain:
        tool = yield from engine.ask(["--version"])
        engine.version = (tool.result or "").strip().rpartition(" ")[2] or None
        engine.rootless = os.getuid() != 0
    elif engine.kind == "podman":
        tool = yield from engine.ask(["info", "--format", "json"])
        facts = _object(tool.result)
        security = _object(_object(facts.get("host")).get("security"))
        engine.version = _object(facts.get("version")).get("Version")
        engine.rootless = security.get("rootless") is True
    else:
        tool = yield from engine.ask(["info", "--format", "{{json .}}"])
        facts = _object(tool.result)
        options = facts.get("SecurityOptions") or []
        engine.version = facts.get("ServerVersion") or None
        engine.rootless = any(str(option).startswith("name=rootless") for option in options)
        engine.remapped = any(str(option).startswith("name=userns") for option in options)
    if not engine.version:
        errors = "\n".join([tool.errors] + [str(error) for error in facts.get("ServerErrors") or []]).strip()
        raise engine_problem.of_text(engine, errors if tool.code is not None else None, whatever=True)
    _keep(root, engine)
    return engine


def _kind(program, kept):
    """A generator (turns) that returns whether a program is docker, or podman under that name."""
    names = (os.path.basename(program), os.path.basename(os.path.realpath(program)))
    for kind in ("podman",) + PLAIN:
        if kind in names:
            return kind
    tool = yield from Engine(program, kept).ask(["--version"])
    return "podman" if "podman" in (tool.result or "").lower() else "docker"


def find_program(source, order=ORDER):
    """`(program, variables)` of the first engine of `order` that is on the PATH; of the one that RUNYARD_ENGINE names
    where it does. AgentError engine when there is none."""
    kept = variables(source)
    asked = kept.get("RUNYARD_ENGINE") or None
    if asked is not None and asked not in ORDER:
        raise engine_problem.unknown(asked, ORDER)
    for name in order if asked is None else (asked,):
        program = find(name, kept.get("PATH", os.defpath))
        if program is not None:
            return program, kept
    raise engine_problem.nothing(asked)


def _path(root):
    return root + "/environments/engine.json"


def _key(program, kept):
    config = kept.get("DOCKER_CONFIG") or kept.get("HOME", "") + "/.docker"
    stamps = []
    for path in (program, config + "/config.json"):
        try:
            found = os.stat(path)
            stamps.append([found.st_size, found.st_mtime_ns])
        except OSError:
            stamps.append(None)
    # Hosts that share the root folder have engines of their own.
    parts = [program, config, os.getuid(), os.uname()[1], stamps] + [kept.get(name) for name in _PLACES]
    return small_sha256(json.dumps(parts).encode("ascii"))[:16]


def _keep(root, engine):
    kept = {key: entry for key, entry in (read_object(_path(root)) or {}).items()
            if isinstance(entry, dict) and time.time() - _number(entry.get("asked")) < _FRESH}
    kept[_key(engine.program, engine.variables)] = {
        "kind": engine.kind, "version": engine.version, "rootless": engine.rootless, "remapped": engine.remapped,
        "asked": time.time()}
    try:
        os.makedirs(root + "/environments", mode=0o700, exist_ok=True)
        write_json(_path(root), kept)
    except OSError:
        pass  # a full disk: it is asked again the next time


def _object(value):
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            value = None
    return value if isinstance(value, dict) else {}


def _number(value):
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else 0
