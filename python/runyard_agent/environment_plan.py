"""What an environment means on this host: which recipe is built here, by which program, under which key.

No process is started for it (but an engine is asked once a day what it is): a run whose environment is built already
pays a few looks at files.
"""

import json
import os

from . import apptainer, engine
from .digest import small_sha256
from .errors import AgentError

#: What makes conda environments, the quickest first; then the variables that name one off the PATH.
_CONDAS = ("mamba", "micromamba", "conda")
_CONDA_VARIABLES = ("MAMBA_EXE", "CONDA_EXE")


class Plan(object):
    """How an environment is built here: `kind` (venv, conda, image), its `recipe`, and `program`, by which."""

    def __init__(self, environment, recipe, program, stands_on, container_engine=None):
        self.environment = environment
        self.kind = recipe["kind"]
        self.recipe = {name: value for name, value in recipe.items() if name != "otherwise"}
        self.program = program
        self.engine = container_engine
        self.label = environment.get("label") or environment.get("name") or self.kind
        text = json.dumps([self.recipe, stands_on], sort_keys=True, separators=(",", ":"))
        self.key = small_sha256(text.encode("utf-8"))

    def description(self):
        """environment.json."""
        return {"hash": self.environment.get("hash"), "name": self.environment.get("name"),
                "version": self.environment.get("version"), "label": self.label, "kind": self.kind,
                "recipe": self.recipe, "engine": self.engine.as_json() if self.engine else None}


def plan_of(root, environment, variables):
    """A generator (turns) that returns the Plan of an environment with a recipe; `variables` are those of the run.
    AgentError environment (or engine) where this host cannot build it."""
    recipe = environment["recipe"]
    if recipe["kind"] == "conda":
        program = find_conda(variables)
        if program is not None:
            return Plan(environment, recipe, program, _stamp(program))
        recipe = recipe["otherwise"]
        if recipe is None:
            raise AgentError(
                "environment", "The environment %s needs conda, and this host has no mamba, micromamba or conda."
                % environment["label"], "Install one of them there (it must be on the PATH), or choose pip requirements.")
    if recipe["kind"] == "image":
        found = yield from engine.get(root, variables)
        if found.plain:
            raise apptainer.cannot_build(found.name)
        where = [variables.get(name) for name in ("DOCKER_HOST", "DOCKER_CONTEXT", "CONTAINER_HOST")]
        return Plan(environment, recipe, found.program, [found.kind] + where, found)
    program = interpreter_of(recipe["interpreter"], variables)
    return Plan(environment, recipe, program, _stamp(program) + _pyenv(program, variables))


def interpreter_of(asked, variables):
    """The path of the interpreter that venvs are made with. AgentError environment when there is none."""
    found = which(asked or "python3", variables)
    if found is None and asked is None:
        found = which("python", variables)
    if found is None:
        raise AgentError("environment", "The interpreter %s was not found on the host." % (asked or "python3"),
                         "Choose an interpreter that exists there.")
    return found


def find_conda(variables):
    """The path of a program that makes conda environments, None where there is none."""
    for name in _CONDAS:
        found = which(name, variables)
        if found is not None:
            return found
    for name in _CONDA_VARIABLES:
        found = variables.get(name)
        if found and os.path.isfile(found) and os.access(found, os.X_OK):
            return found
    return None


def which(name, variables):
    """The full path of a program: a path as it is (of a `~` the person's home), a name by the PATH of `variables`."""
    if "/" in name:
        if name.startswith("~/") and variables.get("HOME"):
            name = variables["HOME"] + name[1:]
        folders = [""]
    else:
        folders = variables.get("PATH", os.defpath).split(os.pathsep)
    for folder in folders:
        path = os.path.join(folder, name)
        if path.startswith("/") and os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None


def _stamp(path):
    found = os.stat(path)
    return [os.path.realpath(path), found.st_size, found.st_mtime_ns]


def _pyenv(program, variables):
    """pyenv's programs are all one script: which Python it starts is said elsewhere."""
    folder, name = os.path.split(os.path.dirname(program))
    if name != "shims":
        return []
    try:
        with open(folder + "/version") as file:
            return [file.read(1000), variables.get("PYENV_VERSION")]
    except (OSError, ValueError):
        return [variables.get("PYENV_VERSION")]
