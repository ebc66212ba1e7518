"""A run's container, by the engine's own program. Every step is a generator (turns), so that nobody waits for an
engine that is slow or away. `container.json` stands for the container from before it is made until it is gone."""

import json
import os
import time

from . import container_options, engine, processes
from .atomic import read_object, write_json
from .engine_problem import EngineProblem, last_words
from .errors import AgentError
from .host import LINUX

#: Seconds: for making a container on a busy host, and between two questions to an engine that is away.
_CREATION = 600.0
_PAUSE = 1.0

#: Seconds after a grace after which an engine that is still away is not waited for any more.
_PATIENCE = 12.0

#: A `wait` has no end of its own.
_FOREVER = 1e9


class MissingImage(AgentError):
    """The engine does not have the image."""


class Container(object):
    """The container of one attempt; `engine` is where it lives."""

    def __init__(self, attempt, where, name=None, identity=None):
        self.attempt = attempt
        self.engine = where
        self.name = name or name_of(attempt)
        self.identity = identity  # the engine's own name for it, once it has said it
        self.path = attempt.container
        self.in_doubt = False  # it may appear yet: `container.json` stays
        self.made = False  # this process has made it, and not removed it
        self.state = None  # the last one that was seen
        self.exit_code = None  # as `wait` has said it

    # Its beginning

    def start(self, image, container, agent_folder, leased):
        """A generator that makes and starts the container. MissingImage; AgentError engine, environment."""
        init, tries = True, 0
        while True:
            tries += 1
            self._write()
            words = container_options.run_arguments(self.engine, self.attempt, self.name, image, container,
                                                    agent_folder, leased, init)
            tool = yield from self.engine.ask(words, _CREATION)
            identity = (tool.result or "").strip().split("\n")[-1]
            if len(identity) == 64:
                self.identity = identity
                self._write()
                return
            lower = tool.errors.lower()
            if tries < 4 and "name" in lower and "already in use" in lower:
                yield from self._make_room()
            elif init and ("docker-init" in lower or "catatonit" in lower or "container-init" in lower):
                init = False  # an engine without an init: children that it leaves behind are not reaped
                yield from self.remove()
            else:
                yield from self.remove()
                raise self._not_made(tool, image, agent_folder)

    def _make_room(self):
        """The name is taken: by what is left of this attempt, which goes, or by something else, which stays."""
        state = yield from self.look(any_owner=True)
        if state is not None and not state.ours:
            self.name = "%s-%s" % (name_of(self.attempt), container_options.root_label(self.attempt.root)[:8])
        else:
            yield from self.remove()

    def _not_made(self, tool, image, agent_folder):
        """Why `run` has failed."""
        problem = self.engine.problem(tool)
        if problem is not None:
            return problem
        lower, name = tool.errors.lower(), self.engine.name
        words = last_words(tool.errors) or "%s says nothing." % name
        if any(text in lower for text in ("no such image", "image not known", "unable to find image")):
            return MissingImage("environment", "The image %s is not on this host." % image)
        # A folder that only the environment's arguments name may just not be there.
        if says_unseen(tool.errors) and any(path in tool.errors for path in (self.attempt.root, agent_folder)):
            return unseen(self.engine)
        if "is not shared from the host" in lower or "mounts denied" in lower:
            return EngineProblem("%s may not show this host's folders to a container: %s" % (name, words),
                                 "Share %s in the settings of Docker Desktop (Resources, File sharing), or choose "
                                 "another environment." % self.attempt.root)
        if "could not select device driver" in lower or "nvidia.com/gpu" in lower:
            return EngineProblem("%s cannot give GPUs to a container: %s" % (name, words),
                                 "Install the NVIDIA Container Toolkit on this host, or choose another environment.")
        if "no space left on device" in lower:
            return AgentError("no_space", "The disk of the host is full: %s" % words,
                              "Free some space on the host, then try again.")
        if "/bin/sh" in lower and ("no such file" in lower or "not found" in lower):
            return no_shell(image)
        return AgentError("environment", "The container could not be made: %s" % words,
                          "Check the environment's image and Docker options.")

    # While it lives

    def look(self, any_owner=False):
        """A generator that returns its State, None when there is no such container (or only somebody else's of that
        name). AgentError engine while the engine is away."""
        tool = yield from self.engine.ask(["inspect", "--type", "container", self.identity or self.name])
        if tool.result is None:
            lower = tool.errors.lower()
            if tool.code is not None and ("no such" in lower or "no container with name" in lower):
                return None
            raise self.engine.problem(tool) or EngineProblem(
                "The %s engine cannot say how the container %s is: %s" % (self.engine.name, self.name,
                                                                          last_words(tool.errors)), None, away=True)
        try:
            state = State(json.loads(tool.result)[0], container_options.labels(self.attempt))
        except (ValueError, LookupError, TypeError):
            raise EngineProblem("The %s engine says of the container %s what makes no sense."
                                % (self.engine.name, self.name), None, away=True)
        if state.ours:
            self.state = state
            self.identity = state.identity
        return state if state.ours or any_owner else None

    def until_end(self, told):
        """A generator that returns the State in which the container has ended, None when it was removed.

        `told(problem)` hears that the engine is away (an AgentError), and that it is back (None).
        """
        away = False
        while True:
            try:
                # First of all: `wait` would wait for ever for one that was never started.
                state = yield from self.look()
                if away:
                    away = False
                    told(None)
            except EngineProblem as problem:
                if not away:
                    away = True
                told(problem)
                yield _PAUSE
                continue
            if state is None or not state.running:
                return state
            tool = self.engine.tool(["wait", self.identity or self.name], _FOREVER)
            try:
                while not tool.poll():
                    yield 0.5
            finally:
                tool.close()
            if tool.result is None:
                yield 0.05
            elif tool.result.strip().isdigit():
                self.exit_code = int(tool.result)

    # Its end

    def end(self, grace):
        """A generator that stops and removes the container, whatever state it is in: SIGTERM, the grace (seconds),
        SIGKILL. AgentError engine when that does not work; it may be called again."""
        if self.identity is not None or (yield from self.look()) is not None:
            yield from self._stop(max(0, int(grace + 0.999)))
            yield from self.look()  # how it has ended, before nobody can say it any more
        yield from self.remove(10)

    def _stop(self, grace):
        """`stop` sends SIGTERM, and SIGKILL after the grace; `kill` is for an engine that has not done so."""
        for words, seconds in ((["stop", "-t", str(grace)], grace + 3), (["kill"], 3)):
            tool = yield from self.engine.ask(words + [self.identity or self.name], seconds)
            if tool.code == 0 or _is_gone(tool):
                return
            problem = self.engine.problem(tool)
            if problem is not None and tool.code is not None:
                raise problem

    def remove(self, seconds=engine.PATIENCE):
        """A generator that removes the container (killing it if need be), and `container.json` with it.
        AgentError engine when it cannot be removed now."""
        if self.identity is None and (yield from self.look()) is None:
            self.forget()  # the name may be somebody else's
            return
        tool = yield from self.engine.ask(["rm", "--force", "--volumes", self.identity or self.name], seconds)
        if tool.code == 0 or _is_gone(tool):
            self.forget()
            return
        if "already in progress" in tool.errors.lower():
            yield 0.2
            return (yield from self.remove(seconds))
        raise self.engine.problem(tool) or EngineProblem(
            "The container %s cannot be removed: %s" % (self.name, last_words(tool.errors)), None)

    def forget(self):
        """Takes `container.json` away: there is no container (any more)."""
        if self.in_doubt:
            return
        self.made = False
        try:
            os.unlink(self.path)
        except OSError:
            pass

    def _write(self):
        self.made = True
        write_json(self.path, dict(self.engine.as_json(), name=self.name, id=self.identity,
                                                run=self.attempt.run, attempt=self.attempt.number))


class State(object):
    """What the engine says of a container."""

    def __init__(self, told, labels):
        state = told["State"]
        self.identity = told["Id"]
        self.image = told["Image"]
        self.running = state.get("Running") is True or state.get("Status") in ("running", "paused", "stopping")
        self.never_ran = state.get("Status") in ("created", "configured", "initialized")
        self.exit_code = state.get("ExitCode")
        self.out_of_memory = state.get("OOMKilled") is True
        self.pid = state.get("Pid") or None
        self.error = state.get("Error") or ""
        found = told["Config"].get("Labels") or {}
        self.ours = all(found.get(name) == value for name, value in labels.items())


def name_of(attempt):
    """The usual name of an attempt's container. Engines want two characters at least."""
    return attempt.run if attempt.number == 1 and len(attempt.run) > 1 else "%s-%d" % (attempt.run, attempt.number)


def kept(attempt, path=None):
    """The Container that `container.json` stands for, None when there is none."""
    found = read_object(path or attempt.container)
    where = engine.from_json(found)
    if where is None or not isinstance(found.get("name"), str):
        return None
    identity = found.get("id")
    known = Container(attempt, where, found["name"], identity if isinstance(identity, str) else None)
    known.path = path or attempt.container
    return known


def process_of(state):
    """(pid, start) of the container's first process where it can be seen on this host, else None: the engine may be
    in a virtual machine, or in another container."""
    if state is None or not state.pid or not LINUX:
        return None
    try:
        with open("/proc/%d/cgroup" % state.pid) as file:
            if state.identity not in file.read():
                return None
    except OSError:
        return None
    start = processes.start_of(state.pid)
    return (state.pid, start) if start is not None else None


def says_unseen(text):
    """Whether an engine says that it has no such folder as is to be mounted."""
    lower = text.lower()
    return "bind source path does not exist" in lower or ("statfs " in lower and "no such file" in lower)


def unseen(where):
    """The engine has other folders than this host."""
    return EngineProblem(
        "The %s engine does not see the folders of this host: it runs elsewhere (a remote DOCKER_HOST, or the engine "
        "outside of the container that this host is)." % where.name,
        "Use an engine that runs on this host itself, or choose another environment.")


def no_shell(image):
    """The image cannot run container.sh."""
    return AgentError("environment", "The image %s has no shell (/bin/sh), which starts the command in it." % image,
                      "Choose an image with a shell: the one it is made from, or one that is not \"distroless\".")


def put_away(container, grace, forget=True):
    """A generator that ends and removes a container within the grace (seconds) and a little more, though the engine
    may be away. Returns a sentence about what is left, empty when nothing is. Without `forget` container.json stays
    when there is no container: it may be on its way."""
    container.in_doubt = not forget
    deadline = time.monotonic() + grace
    while True:
        try:
            yield from container.end(max(0.0, deadline - time.monotonic()))
            return ""
        except AgentError as problem:
            # The processes at least can be ended where they can be seen; the rest is done once the engine is back.
            now = time.monotonic()
            found = _processes(container)
            processes.end_signal(found, hard=now >= deadline)
            if now > deadline + (_PATIENCE if found else _PATIENCE / 3):
                return " The container %s could not be removed yet: %s It is tried again." % (container.name,
                                                                                          problem.message)
        yield _PAUSE


def _processes(container):
    found = processes.marked(container.attempt.mark)
    first = process_of(container.state)
    if first is not None:
        found.update(processes.descendants(first[0]))
    return found


def _is_gone(tool):
    lower = tool.errors.lower()
    return "no such container" in lower or "no container with name" in lower or "no container with id" in lower
