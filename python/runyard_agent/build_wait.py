"""Waiting for one build: it is found ready, joined while it goes on, or begun. Any number of processes wait like this
for the same one."""

import os
import time

from . import build_remains, config, environment_store
from .atomic import read_object
from .detached import start
from .environment_plan import plan_of
from .environment_store import Deciding, builds_of, latest_ready
from .errors import AgentError, from_os_error
from .failure import tail_of
from .launch import own_launcher

#: Builders that were killed while this one waited, beyond which it gives up.
_DEATHS = 2


class BuildWait(object):
    """The interest of one process in one environment. `poll` never blocks; `close` lets go, and a build that nobody
    is interested in any more ends."""

    def __init__(self, root, environment, blobs, variables, rebuild=False, prepare=True, scope=False):
        self.build = None
        self.plan = None
        self.begun = False  # this one has begun it
        self.at_once = True  # it was there at the first look
        self.deaths = 0
        self._root = root
        self._blobs = list(blobs)
        self._variables = variables
        self._rebuild = rebuild
        self._prepare = prepare
        self._scope = scope
        self._interest = None
        self._planning = plan_of(root, environment, variables)
        self._facts = None
        self._failed = False

    def poll(self):
        """The build's facts once it is ready, else None. AgentError, with the end of the build's log as `tail`, when
        it has failed."""
        if self._facts is not None:
            return self._facts
        try:
            return self._poll()
        except OSError as error:
            raise from_os_error(error, "looking for the environment")

    def _poll(self):
        if self.plan is None:
            try:
                next(self._planning)
                return None
            except StopIteration as stop:
                self.plan = stop.value
        if self.build is None:
            self._find()
        if self.build is None:
            self.at_once = False
            return None
        state = self.build.state()
        if state == "ready":
            self._facts = read_object(self.build.facts)
        if self._facts is not None:
            self.build.note_use()
            return self._facts
        self.at_once = False
        if state == "failed":
            self._failed = True
            raise self._error(read_object(self.build.failed) or {})
        if state in ("dead", "ready"):
            self._lost()
        return None

    def _find(self):
        if not self._rebuild and self._join(latest_ready(self._root, self.plan.key)):
            return
        if not self._prepare:
            raise AgentError("environment", "The environment %s is not built on this host yet, and this run may not "
                             "build it." % self.plan.label, "Build it first, or let the run prepare its environment.")
        with Deciding(self._root) as mine:
            if not mine:
                return
            ready = latest_ready(self._root, self.plan.key)
            if not self._rebuild and ready is not None:
                self._join(ready)
                return
            for build in builds_of(self._root, self.plan.key):
                if build.state() == "building":
                    # One that just ends cannot be joined: it is looked for again.
                    self._join(build)
                    return
            self._begin()

    def _join(self, build):
        if build is None:
            return False
        self._interest = build.join()
        if self._interest is not None:
            self.build = build
            self.begun = False
        return self._interest is not None

    def _begin(self):
        plan = self.plan
        request = {"recipe": plan.recipe, "program": plan.program, "label": plan.label, "blobs": self._blobs,
                   "engine": plan.engine.as_json() if plan.engine else None, "variables": self._variables}
        build, lock, interest = environment_store.add(self._root, plan.key, plan.description(), request)
        try:
            launcher = own_launcher()
            arguments = [launcher[0], "-I", "-S", "-X", "utf8", launcher[1], "build", "--root", self._root,
                         "--key", plan.key, "--build", str(build.number), "--lock", "3"]
            systemd = self._scope and config.detach(self._root) == "systemd"
            start(arguments, build.folder + "/builder.log", lock,
                  scope="Runyard: builds the environment %s" % plan.label if systemd else None)
        finally:
            os.close(lock)
        self.build, self._interest, self.begun = build, interest, True

    def _lost(self):
        """The builder is gone without a result; what it left goes with the next build."""
        self.deaths += 1
        tail = tail_of(self.build.log)
        self._let_go()
        if self.deaths > _DEATHS:
            error = AgentError("environment", "The build of the environment %s was killed %d times from outside."
                               % (self.plan.label, self.deaths),
                               "See that the host has enough memory for it, then submit again.")
            error.tail = tail
            raise error

    def _error(self, said):
        code = said.get("code")
        error = AgentError(code if code in ("environment", "engine", "no_space") else "environment",
                           str(said.get("message") or "The environment could not be built."), said.get("action"))
        error.tail = str(said.get("tail") or "")
        return error

    def reason(self):
        """What is waited for, in a sentence."""
        label = self.plan.label if self.plan is not None else ""
        if self.build is None:
            return "Looking for the environment %s" % label if label else None
        said = (read_object(self.build.reason) or {}).get("reason")
        if isinstance(said, str):
            return said
        if self.begun:
            return "Building the environment %s" % label
        return "Waiting for the environment %s, which is being built" % label

    def lost(self):
        """What was built is no longer there (an image that somebody removed): it is built anew by the next polls.
        Nothing is done where another build has come since."""
        if self.build is not None and self.build.state() == "ready":
            try:
                os.unlink(self.build.facts)
            except OSError:
                pass
        self._facts = None
        self._rebuild = False
        self._let_go()

    def _let_go(self):
        if self._interest is not None:
            os.close(self._interest)
            self._interest = None
        self.build = None

    def close(self):
        """Lets go: also of what was built, which may be cleaned up from now on."""
        if self.build is None or self._interest is None:
            return
        if self._facts is not None:
            self.build.note_use()
        os.close(self._interest)
        self._interest = None
        if self._failed:
            # The last one who has read its log takes it away.
            for _ in build_remains.take_away(self.build, ("failed",)):
                time.sleep(0.002)
