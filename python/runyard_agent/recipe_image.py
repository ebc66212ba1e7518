"""An image made from a Dockerfile, by docker (BuildKit or its legacy builder) or podman."""

import json
import re

from . import build_command, container_options, dockerfile, engine_problem, image_remains
from .build import finish
from .errors import AgentError
from .text import fs

#: Lines of a failed step that stand in the error.
_LINES = 3

_STEP = re.compile(r"^(?:\[\d+/\d+\] )?(?:Step|STEP) (\d+/\d+) ?: (.*)")
_KIT_STEP = re.compile(r"^#(\d+) \[(.*?)\] (.*)")
_KIT_ERROR = re.compile(r"^#(\d+) ERROR: (.*)")
_KIT_LINE = re.compile(r"^#(\d+) (?:\d+\.\d+ )?(.*)")
_PULL = re.compile(r"^(?:\S+: Pulling from |Trying to pull |#\d+ sha256:\S+ \S+ / )")

#: Handed to the build where they do not name this host itself, which a container does not reach so.
_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")
_HERE = ("localhost", "127.0.0.1", "[::1]")


def build(builder):
    """Builds the image under its name; gives the facts."""
    engine, tag = builder.engine, builder.build.tag
    text = builder.recipe["files"]["Dockerfile"]
    builder.say("Building the image %s with %s %s" % (builder.called("image"), engine.name, engine.version or ""))
    turn = image_remains.open_turn(builder.build.root, engine)
    builder.keep(turn)
    builder.reason("Waiting for another image to be built")
    builder.wait_for(turn)
    builder.reason(None)
    variables = dict(builder.variables, **engine.variables)
    words, variables = _way(builder, variables)
    if "--load" not in words:
        text = dockerfile.labelled(text, image_remains.label_of(builder.build.root))
    path = builder.folder + "/Dockerfile"
    with open(path, "wb") as file:
        file.write(fs(text))
    words += ["--label", "runyard.environment=" + builder.build.key,
              "--label", "runyard.root=" + container_options.root_label(builder.build.root), "-t", tag, "-f", path]
    words += _proxies(variables)
    if builder.execute(words + [builder.files], variables, _Watcher(builder)) != 0:
        said = list(builder.log.lines)
        problem = engine_problem.of_text(engine, "\n".join(said[-5:]))
        if problem is not None:
            raise problem
        raise AgentError("environment", "The image could not be built: %s" % complaint(said),
                         "Correct the Dockerfile, or see the build's log.")
    builder.reason(None)
    facts = _facts(builder, engine, tag, variables)
    facts.update(_packages(builder, engine, tag, variables))
    return facts


def stop(builder):
    """Podman leaves its working containers when it is told to end, but not when the step under way fails."""
    if builder.engine.kind == "podman":
        finish(build_command.end_inside(builder.build))


def undo(builder):
    """Nothing of a half build is left in the engine."""
    finish(image_remains.clean(builder.build.root, builder.engine, builder.build.tag))


def complaint(lines):
    """Which step has failed, and its last words."""
    for index in range(len(lines) - 1, -1, -1):
        found = _KIT_ERROR.match(lines[index])
        if found:
            return _of_buildkit(lines[:index], found.group(1), found.group(2))
    for index in range(len(lines) - 1, -1, -1):
        found = _STEP.match(lines[index])
        if found:
            told = [line for line in lines[index + 1:]
                    if line.strip() and not line.startswith((" ---> ", "Removing intermediate container "))]
            # Without its number: lines of ours are counted there, too.
            return "%s failed: %s" % (_short(found.group(2)), _last(told))
    return _last(lines)


def _of_buildkit(lines, number, error):
    step, told = "", []
    for line in lines:
        found = _KIT_STEP.match(line)
        if found:
            if found.group(1) == number:
                step = "[%s] %s" % (found.group(2), found.group(3))
            continue
        found = _KIT_LINE.match(line)
        if found and found.group(1) == number and not found.group(2).startswith(("sha256:", "CACHED", "DONE")):
            told.append(found.group(2))
    return "%s failed: %s" % (_short(step), _last(told + [error]))


def _last(lines):
    told = [_short(line.strip()) for line in lines if line.strip()][-_LINES:]
    return " | ".join(told) or "it said nothing."


def _short(text):
    return text if len(text) <= 300 else text[:297] + "..."


class _Watcher(object):
    """Sees each line of a build: what is pulled, and docker's advertisement of another builder, which is left out."""

    def __init__(self, builder):
        self._builder = builder
        self._image = None
        self._advertises = False

    def __call__(self, line):
        if line.startswith("DEPRECATED: The legacy builder"):
            self._advertises = True
            return True
        if self._advertises:
            if not line.strip() or line.startswith("    "):
                self._advertises = bool(line.strip())
                return True
            self._advertises = False
        found = _STEP.match(line) or _KIT_STEP.match(line)
        if found:
            words = found.groups()[-1].split()
            if len(words) > 1 and words[0].upper() == "FROM":
                named = [word for word in words[1:] if not word.startswith("--")]
                self._image = named[0].partition("@")[0] if named else None
            else:
                self._image = None
                self._builder.reason(None)
        elif self._image is not None and _PULL.match(line):
            self._builder.reason("Pulling the image %s" % self._image)
        return False


def _way(builder, variables):
    """`(the words of a build, its variables)` for the builder that this engine has; `--load` is BuildKit's."""
    program = builder.engine.program
    if builder.engine.kind == "podman":
        return [program, "build", "--force-rm"], variables
    if builder.output([program, "buildx", "version"], variables)[0] == 0 and variables.get("DOCKER_BUILDKIT") != "0":
        return [program, "build", "--load", "--progress", "plain"], dict(variables, DOCKER_BUILDKIT="1")
    return [program, "build", "--force-rm"], dict(variables, DOCKER_BUILDKIT="0")


def _proxies(variables):
    """By their names only: their values may hold passwords. A build knows these without being told."""
    words = []
    for name in _PROXIES:
        for one in (name, name.upper()):
            value = variables.get(one)
            if value and not any(here in value for here in _HERE):
                words += ["--build-arg", one]
    return words


def _facts(builder, engine, tag, variables):
    told = _inspect(builder, engine, tag, variables)
    if told is None:
        raise AgentError("environment", "%s has built the image, but does not know it." % engine.name,
                         "See the build's log.")
    size = told.get("Size") or 0
    base = builder.recipe.get("base") or dockerfile.base_of(builder.recipe["files"]["Dockerfile"])
    under = (_inspect(builder, engine, base, variables) or {}).get("Size") or 0 if base else 0
    return {"engine": engine.kind, "image": tag, "image_id": told.get("Id"), "image_digest": None, "bytes": size,
            "own_bytes": max(0, size - under), "interpreter": None}


def _inspect(builder, engine, name, variables):
    code, text = builder.output([engine.program, "image", "inspect", name], variables)
    try:
        found = json.loads(text)[0] if code == 0 else None
    except (ValueError, LookupError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def _packages(builder, engine, tag, variables):
    """What the image's own Python finds installed; nothing where it has none."""
    for python in ("python3", "python"):
        found = builder.packages([engine.program, "run", "--rm", "--name", image_remains.lister_of(tag), "--network",
                                  "none", "--entrypoint", python, tag], variables)
        if found["python"] is not None:
            found.pop("folders", None)
            return found
    return {"python": None, "packages": None}
