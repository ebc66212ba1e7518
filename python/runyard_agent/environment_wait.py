"""A run's wait for its environment: what is to be built is begun or joined, what is there is found."""

import time

from . import existing_conda
from .build_wait import BuildWait
from .environment_plan import which
from .errors import AgentError
from .log_copy import LogCopy

#: Seconds between two looks at what the builder says it does.
_LOOK = 0.3


class Ready(object):
    """What a run gets: `interpreter` (None: the host's own as the command names it, or that of the container's PATH),
    `image` (None: no container), `variables` (of value None: to be removed), `facts` (environment.json)."""

    def __init__(self, interpreter, image, variables, facts):
        self.interpreter = interpreter
        self.image = image
        self.variables = variables
        self.facts = facts


class EnvironmentWait(object):
    """Call `poll` until it gives a Ready, and `close` at the end of the run: until then what it uses stays.

    `variables` are those that the command starts from. `reason` is a sentence for the status while it waits.
    """

    def __init__(self, attempt, environment, blob_folders, variables):
        self.reason = None
        self._log = attempt.folder + "/user_logs/build_log.txt"
        self._environment = environment = environment or {}
        self._variables = variables
        self._began = time.monotonic()
        self._copy = None
        self._copied = None  # the build whose log is copied
        self._next_look = 0.0
        self._build = self._conda = None
        self._ready = None
        if environment.get("recipe") is not None:
            self._build = BuildWait(attempt.root, environment, blob_folders, variables,
                                    prepare=environment.get("prepare", True))
        elif environment.get("conda_environment") is not None:
            self._conda = existing_conda.find(environment["conda_environment"], variables)

    def poll(self):
        """Ready once the environment is, else None. AgentError environment, engine or no_space, with `tail`."""
        if self._ready is not None:
            return self._ready
        try:
            if self._build is not None:
                self._ready = self._poll_build()
            elif self._conda is not None:
                self._ready = self._poll_conda()
            else:
                self._ready = self._as_it_is()
        except AgentError as error:
            if not hasattr(error, "tail"):
                error.tail = ""
            raise
        if self._ready is not None:
            self._ready.facts["waited_ms"] = int((time.monotonic() - self._began) * 1000)
        return self._ready

    def lost(self):
        """The image that was built is no longer there: it is waited for anew."""
        self._ready = None
        self._build.lost()

    def close(self):
        """Lets go of everything."""
        if self._conda is not None:
            self._conda.close()
        if self._copy is not None:
            self._copy.close()
            self._copy = None
        if self._build is not None:
            self._build.close()

    def _poll_build(self):
        wait = self._build
        try:
            facts = wait.poll()
        except AgentError:
            self._follow(last=True)
            raise
        if facts is None:
            self._follow()
            now = time.monotonic()
            if self.reason is None or now >= self._next_look:
                self._next_look = now + _LOOK
                self.reason = wait.reason()
            return None
        if not wait.at_once:
            self._follow(last=True)
        self.reason = None
        facts = facts_for_people(facts)
        facts["cached"] = not wait.begun
        if facts["image"] is not None:
            return Ready(None, facts["image"], {}, facts)
        interpreter = self._environment.get("interpreter") or facts["interpreter"]
        place = facts["interpreter"].rpartition("/bin/")[0]
        return Ready(interpreter, None, within(facts["kind"], place, self._variables), facts)

    def _follow(self, last=False):
        """Copies the log of the build that is waited for."""
        build = self._build.build
        if build is None:
            return
        try:
            if self._copied != (build.key, build.number, self._build.deaths):
                if self._copy is not None:
                    self._copy.close()
                    self._copy = None
                self._copy = LogCopy(build.log, self._log)
                self._copied = (build.key, build.number, self._build.deaths)
            self._copy.copy()
            if last:
                self._copy.close()
                self._copy = None
        except OSError:
            pass  # it is not there yet, or the disk is full: the run does not depend on it

    def _poll_conda(self):
        prefix = self._conda.poll()
        if prefix is None:
            self.reason = "Looking for the conda environment %s" % self._environment["conda_environment"]
            return None
        interpreter = self._environment.get("interpreter") or prefix + "/bin/python"
        facts = dict(_FACTS, kind="conda-environment", interpreter=interpreter)
        return Ready(interpreter, None, within("conda", prefix, self._variables), facts)

    def _as_it_is(self):
        container = self._environment.get("container")
        if container is not None:
            return Ready(None, container.get("image"), {}, dict(_FACTS, kind="image", image=container.get("image")))
        asked = self._environment.get("interpreter")
        if asked is None:
            return Ready(None, None, {}, dict(_FACTS, kind="system"))
        found = which(asked, self._variables)
        if found is None:
            raise AgentError("environment", "The interpreter %s was not found on the host." % asked,
                             "Choose an interpreter that exists there.")
        return Ready(found, None, {}, dict(_FACTS, kind="interpreter", interpreter=found))


#: The members of environment.json, for people and the server; see the protocol.
_FACTS = {"key": None, "kind": None, "interpreter": None, "python": None, "engine": None, "image": None,
          "image_id": None, "image_digest": None, "built": None, "cached": True, "waited_ms": 0, "packages": None}


def facts_for_people(facts):
    """The members of environment.json that the facts of a build have."""
    return {name: facts.get(name, usual) for name, usual in _FACTS.items()}


def within(kind, place, variables):
    """The variables of a command in a venv or conda environment; of value None: to be removed."""
    path = variables.get("PATH")
    found = {"PATH": place + "/bin" + (":" + path if path else ""), "PYTHONHOME": None}
    if kind == "conda":
        found.update(CONDA_PREFIX=place, CONDA_DEFAULT_ENV=place, VIRTUAL_ENV=None)
    else:
        found["VIRTUAL_ENV"] = place
    return found
