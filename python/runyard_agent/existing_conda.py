"""Finding a conda environment that is there: by its folder, or by its name."""

import json
import os

from .environment_plan import find_conda
from .errors import AgentError
from .text import fs
from .tool import Tool

#: Seconds that conda has to list its environments.
_PATIENCE = 60.0


def find(asked, variables):
    """A Search for the environment with this name or folder; `variables` are those of the run."""
    return Search(asked, variables)


class Search(object):
    """`poll` gives the folder of the environment once it is known. AgentError environment when there is none."""

    def __init__(self, asked, variables):
        self._asked = asked
        self._variables = variables
        self._tool = None

    def poll(self):
        """The folder, None while conda is being asked."""
        if self._tool is None:
            found = self._look()
            if found is not None:
                return found
            program = find_conda(self._variables)
            if "/" in self._asked or program is None:
                raise self._error()
            self._tool = Tool([program, "env", "list", "--json"], _PATIENCE, self._variables)
        if not self._tool.poll():
            return None
        try:
            listed = json.loads(self._tool.result or "")["envs"]
            found = _named(self._asked, [path for path in listed if isinstance(path, str)])
        except (ValueError, KeyError, TypeError):
            found = None
        if found is None:
            raise self._error()
        return found

    def close(self):
        """Ends the question to conda."""
        if self._tool is not None:
            self._tool.close()

    def _look(self):
        home = self._variables.get("HOME") or os.path.expanduser("~")
        if "/" in self._asked:
            path = home + self._asked[1:] if self._asked.startswith("~/") else self._asked
            return path.rstrip("/") if is_environment(path) else None
        found = _named(self._asked, _listed(home + "/.conda/environments.txt"))
        if found is not None:
            return found
        for name in ("CONDA_EXE", "MAMBA_EXE"):
            # <base>/bin/conda: the base is an environment itself, called so.
            base = os.path.dirname(os.path.dirname(self._variables.get(name) or ""))
            candidates = [base] if self._asked == "base" else [base + "/envs/" + self._asked]
            candidates += [self._variables.get("MAMBA_ROOT_PREFIX", "") + "/envs/" + self._asked]
            for path in candidates:
                if path.startswith("/") and is_environment(path):
                    return path
        return None

    def _error(self):
        what = "in the folder %s" if "/" in self._asked else "called %s"
        return AgentError("environment", "This host has no conda environment %s." % (what % self._asked),
                          "Choose one that `conda env list` shows there.")


def is_environment(path):
    """Whether a folder is a conda environment with a Python."""
    return os.path.isdir(fs(path + "/conda-meta")) and os.path.exists(fs(path + "/bin/python"))


def _listed(path):
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            return [line.strip() for line in file if line.strip()]
    except OSError:
        return []


def _named(name, paths):
    for path in paths:
        if (os.path.basename(path) == name and os.path.basename(os.path.dirname(path)) == "envs"
                and is_environment(path)):
            return path
    # Made with a folder of its own (`-p`), or the base of an installation.
    for path in paths:
        if (os.path.basename(path) == name or (name == "base" and os.path.isdir(path + "/condabin"))) and is_environment(path):
            return path
    return None
