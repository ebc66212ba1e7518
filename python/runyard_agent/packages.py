"""The packages that a run finds installed: asked beside the run, kept with what they belong to."""

import os

from . import package_list
from .atomic import read_object, write_json
from .digest import small_sha256
from .environment_plan import which
from .tool import Tool

#: Seconds after which a list that has not come is done without.
_PATIENCE = 120.0
_LIMIT = 1 << 22


class Packages(object):
    """Writes artifacts/environment/environment.json: at once with what is known, again once the list is there.

    `facts` are those of a Ready, `argv` says how its Python is started, `variables` are the command's. Nothing that
    goes wrong here is the run's trouble.
    """

    def __init__(self, attempt, facts, argv, variables):
        self.facts = dict(facts)
        self._root = attempt.root
        self._path = attempt.artifacts + "/environment/environment.json"
        self._tool = None
        self._kept = None
        self._written = None
        try:
            if self.facts.get("packages") is None and argv and self.facts.get("built") is None:
                self._look(argv, variables)
        except OSError:
            pass
        self._write()

    def poll(self):
        """True once nothing more comes."""
        if self._tool is not None:
            try:
                if not self._tool.poll():
                    return False
                self._take(package_list.parse(self._tool.result))
            except (OSError, ValueError):
                pass
            self._tool = None
        self._write()
        return True

    def close(self):
        """Gives up what has not come."""
        if self._tool is not None:
            self._tool.close()
            self._tool = None

    def _look(self, argv, variables):
        variables = {name: value for name, value in variables.items() if value is not None}
        variables.pop("RUNYARD_MARK", None)  # it does not belong to the run's processes
        self._kept = self._place(argv, variables)
        known = read_object(self._kept) if self._kept is not None else None
        if known is not None and _still_holds(known.get("folders")):
            self._fill(known)
            return
        self._tool = Tool(list(argv) + ["-c", package_list.SCRIPT], _PATIENCE, variables, limit=_LIMIT, bound=True)

    def _place(self, argv, variables):
        """Where the list is kept; None when what it belongs to has no name."""
        image = self.facts.get("image_id")
        if image is not None:
            plain = "".join(char for char in str(image).rpartition(":")[2] if char.isalnum())
            return "%s/environments/images/%s.json" % (self._root, plain[:64]) if plain else None
        if self.facts.get("image") is not None:
            return None
        program = which(argv[0], variables)
        if program is None:
            return None
        found = os.stat(program)
        # What decides about the folders in which it looks; their own times are kept with the list.
        parts = [program, os.path.realpath(program), str(found.st_size), str(found.st_mtime_ns)]
        parts += [str(variables.get(name)) for name in ("PYTHONPATH", "PYTHONHOME", "PYTHONNOUSERSITE", "PYENV_VERSION",
                                                        "HOME")]
        hash = small_sha256("\0".join(parts).encode("utf-8", "surrogateescape"))
        return "%s/environments/interpreters/%s.json" % (self._root, hash)

    def _take(self, said):
        if said is None:
            return
        self._fill(said)
        if self._kept is not None and said["packages"] is not None:
            os.makedirs(os.path.dirname(self._kept), mode=0o700, exist_ok=True)
            folders = [] if self.facts.get("image_id") is not None else said["folders"]
            write_json(self._kept, dict(said, folders=folders))

    def _fill(self, said):
        self.facts["packages"] = said.get("packages")
        self.facts["python"] = said.get("python") or self.facts.get("python")

    def _write(self):
        if self._written == self.facts:
            return
        try:
            os.makedirs(os.path.dirname(self._path), exist_ok=True)
            write_json(self._path, self.facts)
            self._written = dict(self.facts)
        except OSError:
            pass  # a full disk, or the script has put something else there


def _still_holds(folders):
    """Whether no folder of packages has changed since the list was made."""
    if not isinstance(folders, list):
        return False
    for pair in folders:
        if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
            return False
        try:
            if os.stat(pair[0]).st_mtime != pair[1]:
                return False
        except OSError:
            return False
    return True
