"""What the tests of environments share: definitions, waiters, and a look at what is left."""

import itertools
import json
import os
import subprocess
import sys
import time

from runyard_agent import environment_store, processes
from runyard_agent.environment_wait import EnvironmentWait
from runyard_agent.errors import AgentError
from runyard_agent.layout import Attempt

from . import wheels
from .client import PATIENCE
from .support import AgentTest

_numbers = itertools.count(1)


def _with_venv():
    """An interpreter that can make venvs with a pip that knows pyproject.toml: the tests' own, or the system's."""
    probe = "import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 7))"
    for program in (sys.executable, "/usr/bin/python3"):
        if subprocess.call([program, "-c", probe], stderr=subprocess.DEVNULL) == 0:
            return program
    return sys.executable


PYTHON = _with_venv()


def environment_of(recipe, **members):
    """The member `environment` of a spec."""
    found = {"hash": "ab" * 32, "name": "digits", "version": 2, "label": "digits:2", "recipe": recipe,
             "conda_environment": None, "interpreter": None, "container": None, "prepare": True}
    found.update(members)
    return found


def venv_of(requirements, **members):
    """A venv recipe."""
    return dict({"kind": "venv", "files": {"requirements.txt": requirements}, "context": None, "interpreter": PYTHON},
                **members)


class Waiter(object):
    """One run that waits for its environment."""

    def __init__(self, root, environment, blobs=(), variables=None):
        self.attempt = Attempt(root, "waiter-%d" % next(_numbers), 1)
        os.makedirs(self.attempt.folder + "/user_logs")
        os.makedirs(self.attempt.artifacts)
        self.wait = EnvironmentWait(self.attempt, environment, blobs, variables or dict(os.environ))
        self.ready = None
        self.error = None
        self.reasons = []
        self.closed = False

    def close(self):
        """Lets go: canceled, or the end of the run."""
        self.closed = True
        self.wait.close()

    def poll(self):
        """One look; True once it is over."""
        if self.ready is None and self.error is None and not self.closed:
            try:
                self.ready = self.wait.poll()
            except AgentError as error:
                self.error = error
            if self.wait.reason is not None and self.wait.reason not in self.reasons:
                self.reasons.append(self.wait.reason)
        return self.ready is not None or self.error is not None

    def log(self):
        """The copy of the build's log."""
        try:
            with open(self.attempt.folder + "/user_logs/build_log.txt", "rb") as file:
                return file.read()
        except OSError:
            return None


class EnvironmentTest(AgentTest):
    """A root folder, wheels beside it, and waiters that are closed at the end."""

    def setUp(self):
        AgentTest.setUp(self)
        os.makedirs(self.root, exist_ok=True)
        self.wheels = os.path.join(self.folder, "wheels")
        self.waiters = []
        # What this machine's pip is set up with is not what is tested.
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
        self.variables["PIP_CONFIG_FILE"] = os.devnull

    def tearDown(self):
        for waiter in self.waiters:
            waiter.close()
        for build in self.builds():
            for process in list(processes.marked(build.mark).values()) + self.builders(build):
                os.kill(process.pid, 9)
        AgentTest.tearDown(self)

    def requirements(self, *lines):
        """The text of a requirements.txt that finds the wheels of this test only."""
        return "\n".join(("--no-index", "--find-links " + self.wheels) + lines) + "\n"

    def slow(self, seconds=60):
        """A requirement whose installation takes a while."""
        wheels.slow(self.wheels, "slow", seconds)
        return "slow==1.0"

    def waiter(self, environment, **options):
        """A run that begins to wait now."""
        options.setdefault("variables", self.variables)
        waiter = Waiter(self.root, environment, **options)
        self.waiters.append(waiter)
        return waiter

    def until(self, condition, what, waiters=None, seconds=PATIENCE):
        """Polls the waiters until `condition()` holds."""
        end = time.monotonic() + seconds
        while not condition():
            for waiter in self.waiters if waiters is None else waiters:
                waiter.poll()
            if time.monotonic() > end:
                raise AssertionError("waited %g s for %s" % (seconds, what))
            time.sleep(0.02)

    def finish(self, *waiters):
        """Polls until these (or all) have what they wait for; gives the first one."""
        waiters = waiters or tuple(self.waiters)
        self.until(lambda: all(waiter.poll() for waiter in waiters), "the environment")
        return waiters[0]

    def ready(self, environment, **options):
        """Builds it; gives the waiter, which uses it."""
        waiter = self.finish(self.waiter(environment, **options))
        if waiter.error is not None:
            raise AssertionError("%s\n%s" % (waiter.error.message, waiter.error.tail))
        return waiter

    def builds(self):
        """Everything below environments/ that counts as a build."""
        return [build for key in environment_store.all_keys(self.root)
                for build in environment_store.builds_of(self.root, key)]

    @staticmethod
    def builders(build):
        """The builder's process, by its arguments."""
        found = []
        for name in os.listdir("/proc") if os.path.isdir("/proc") else []:
            try:
                with open("/proc/%s/cmdline" % name, "rb") as file:
                    words = file.read().split(b"\0")
            except OSError:
                continue
            if b"build" in words and build.root.encode() in words and build.key.encode() in words \
                    and b"%d" % build.number in words and name.isdigit():
                process = processes.look(int(name))
                if process is not None and not process.dead:
                    found.append(process)
        return found

    def leftovers(self):
        """What lies below environments/ beside the lock and what is kept for all."""
        found = []
        for parent, folders, names in os.walk(self.root + "/environments"):
            for name in folders + names:
                path = os.path.relpath(os.path.join(parent, name), self.root + "/environments")
                if path not in ("lock", "tmp", "images.lock", "engine.json") and not path.endswith(".lock"):
                    found.append(path)
        return found


def packages_of(facts):
    """{name: version} of the facts."""
    return {package["name"]: package["version"] for package in facts["packages"]}


def read_json(path):
    with open(path) as file:
        return json.load(file)
