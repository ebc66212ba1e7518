"""A run in a container: the part of its supervisor that starts the container, watches it, and tells how it ended."""

import json
import os
import time

from . import container_script, environment, failure, processes
from .container import Container, MissingImage, no_shell, process_of, put_away
from .container_options import no_memory, python_beside
from .container_script import BEGAN, remove
from .engine_problem import last_words
from .errors import AgentError, from_os_error
from .monitor import Monitor

#: Seconds between looks for container.began, and at the processes.
_BEGIN = 0.005
_LOOK = 0.5

#: Seconds after which an engine that took the container along is not waited for.
_GONE = 10.0

#: Exit codes that stand for a signal (128 and its number), which a command hardly ends with by itself.
_SIGNALS = {132: 4, 134: 6, 135: 7, 136: 8, 137: 9, 139: 11, 143: 15}

#: What an engine says of the end of a container that it has ended itself, or has lost sight of.
_BY_ENGINE = (137, 143, 255)


class Ending(object):
    """How a container ended: what goes into the run's status."""

    def __init__(self, how, exit_code=None, signal=None, error=None):
        self.how, self.exit_code, self.signal, self.error = how, exit_code, signal, error


class ContainerRun(object):
    """One run's container. `keeper` is the Supervisor, which records, heeds cancels, and beats meanwhile."""

    def __init__(self, keeper, engine, ready, gpus):
        self.keeper = keeper
        self.attempt = keeper.attempt
        self.spec = keeper.spec
        self.options = self.spec["environment"]["container"] or {}
        self.engine = engine
        self.take(ready)
        self.container = Container(self.attempt, engine)
        self.running = False
        self._gpus = gpus
        self._process = None  # (pid, start) of its first process, where it can be seen
        self._known = False  # what the engine has said of it has been heeded
        self._away = None  # since when the engine does not answer
        self._was_away = self._taken = False
        self._monitor = None
        self._next_look = 0.0
        self._memory_kills = failure.MemoryKills()

    def take(self, ready):
        """Which image it is to be."""
        self.image = ready.image
        self.facts = dict(ready.facts, engine=self.engine.kind)

    def start(self, agent_folder):
        """Starts the container, with its image pulled first if need be. AgentError; MissingImage for one that was
        built here."""
        record = self.keeper.record
        record.change("Preparing", "Starting a container of the image %s" % self.image)
        try:
            self._write_script(agent_folder)
            starting = (self.image, self.options, agent_folder, self._gpus)
            try:
                self.keeper.drive(self.container.start(*starting))
            except MissingImage:
                if self.spec["environment"]["recipe"] is not None:
                    raise
                self.keeper.drive(self._pull())
                record.change("Preparing", "Starting a container of the image %s" % self.image)
                self.keeper.drive(self.container.start(*starting))
        except OSError as problem:
            raise from_os_error(problem, "starting the container")
        record.change("Starting", "The container starts")

    def _write_script(self, agent_folder):
        container_script.write(self.attempt, self.spec, self.keeper.several,
                               environment.in_container(self.attempt, self.spec, self._gpus), agent_folder)

    def _pull(self):
        """A generator that fetches the image; what the engine says goes into the build log."""
        self.keeper.record.change("Preparing", "Pulling the image %s" % self.image)
        log = os.open(self.attempt.build_log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            os.write(log, b"Pulling the image %s\n" % self.image.encode("utf-8", "surrogateescape"))
            tool = self.engine.tool(["pull", self.image], 1e9, output=log)
            try:
                while not tool.poll():
                    yield 0.2
            finally:
                tool.close()
        finally:
            os.close(log)
        if tool.code != 0:
            tail = failure.tail_of(self.attempt.build_log)
            tool.errors = "\n".join(tail.splitlines()[-5:])
            error = AgentError(
                "environment", "The image %s could not be pulled: %s" % (self.image, last_words(tool.errors)),
                "Check the image's name, and sign in to its registry where it asks for that (%s login)."
                % self.engine.kind)
            error.tail = tail  # of another log than the command's
            raise self.engine.problem(tool) or error

    # While it runs

    def watch(self):
        """Until the container has ended; gives its Ending, None when its time is over first."""
        ending = self.container.until_end(self._told)
        limit = self.spec["max_seconds"]
        try:
            while True:
                try:
                    pause = next(ending)
                except StopIteration as stop:
                    self._heed_begin()
                    self._heed_state()
                    return self._judge(stop.value)
                now = time.monotonic()
                if not self.running:
                    pause = min(pause, _BEGIN)
                    self._heed_begin()
                elif limit is not None and now >= self.keeper.started + limit:
                    return None
                else:
                    self._heed_state()
                    self._look(now)
                    pause = min(pause, max(0.0, self._next_look - now))
                    if limit is not None:
                        pause = min(pause, max(0.0, self.keeper.started + limit - now))
                if self._is_taken(now):
                    return self._by_engine(None)
                self.keeper.turn(pause)
        finally:
            ending.close()

    def _heed_begin(self):
        if not self.running and container_script.began(self.attempt) == BEGAN:
            self.running = True
            self._monitor = Monitor(self.attempt, self.spec["monitor_seconds"])
            self.keeper.has_begun(None)
            remove(self.attempt.container_script)

    def _heed_state(self):
        """What the engine has said of the container now that its command runs: processes, image."""
        if self.running and not self._known and self.container.state is not None:
            self._known = True
            self._next_look = 0.0
            self._process = process_of(self.container.state)
            if self._process is not None:
                self.keeper.record.beat(pid=self._process[0])
            self.keeper.drive(self._tell_environment(self.container.state))

    def _tell_environment(self, state):
        """A generator that says what the environment turned out to be."""
        if self.facts.get("image_id") is None:
            self.facts["image_id"] = state.image
            tool = yield from self.engine.ask(["image", "inspect", state.image], 5)
            digests = json.loads(tool.result or "[{}]")[0].get("RepoDigests")
            self.facts["image_digest"] = digests[0] if digests else None
        self.keeper.list_packages(self.facts, self.python(), self.engine.variables)

    def _look(self, now):
        """System metrics, of the processes where this host shows them."""
        self._monitor.probe.poll()
        if now < self._next_look:
            return
        self._next_look = now + _LOOK
        if now < self._monitor.next or not self._known:
            return
        if self._process is None:
            self._monitor.measure(None, 0)
        elif processes.is_alive(*self._process):
            found = processes.descendants(self._process[0])
            found[self._process[0]] = processes.look(self._process[0])
            found = {pid: process for pid, process in found.items() if process is not None}
            self._monitor.measure(found, sum(process.ticks for process in found.values()))

    def _told(self, problem):
        """The engine is away, or back: a run goes on without it where it keeps its containers (live-restore)."""
        if problem is not None and self._away is None:
            self._away = time.monotonic()
            self._was_away = True
            self._say("Waiting for the %s engine, which does not answer" % self.engine.name)
        elif problem is None and self._away is not None:
            self._away, self._taken = None, False
            self._say("The command runs")

    def _say(self, reason):
        self.keeper.record.change("Running" if self.running else self.keeper.record.state, reason)

    def _is_taken(self, now):
        """True when the engine went away and its container with it, and it does not come back to say so."""
        if self._away is None:
            return False
        if now < self._away + 2.0 and self._process is not None and not processes.is_alive(*self._process):
            self._taken = True
        return self._taken and now > self._away + _GONE

    # How it ended

    def _judge(self, state):
        word = container_script.began(self.attempt)
        code = state.exit_code if state is not None else self.container.exit_code
        if state is None:
            return self._removed(code)
        if word is None:
            return self._never_began(state, code)
        if state.never_ran:
            return self._outside("The %s engine has lost sight of the container." % self.engine.name, None)
        if word != BEGAN:
            return self._not_begun(word, code)
        if code == 0:
            return Ending("The command ended with exit code 0", 0)
        ranks = self.keeper.several.failure() if self.keeper.several is not None else None
        if ranks is not None:
            return self._rank_failed(ranks, state.out_of_memory)
        if self._was_away and code in _BY_ENGINE:
            return self._by_engine(code)
        if code in (137, 143) and not state.out_of_memory:
            state = self.keeper.drive(self._look_again(state))
            if self._was_away:
                return self._by_engine(code)
            if state is None:
                return self._removed(code)
        if state.out_of_memory or (code == 137 and self._memory_kills.any()):
            return self._out_of_memory(code, state.out_of_memory)
        if code == 137:
            return self._outside("The container was killed from outside (SIGKILL).", code)
        if code == 143:
            return self._outside("The container was stopped from outside (SIGTERM).", code)
        if code in _SIGNALS:
            error = failure.of_signal(_SIGNALS[code], False, self.attempt.folder, self.attempt.log)
            return Ending("The command was ended by signal %d" % _SIGNALS[code], None, _SIGNALS[code], error)
        return Ending("The command ended with exit code %d" % code, code, None,
                      failure.of_exit(code, self.attempt.folder, self.attempt.log))

    def _rank_failed(self, ranks, out_of_memory):
        """One of several processes has failed: `ranks` is what Several.failure gives."""
        code, number, error, how = ranks
        limit = self.options.get("memory")
        if (number == 9 or code == 137) and (out_of_memory or (error["code"] == "out_of_memory" and limit)):
            error = dict(error, code="out_of_memory", message=no_memory(limit, self.keeper.several.who.lower()))
        return Ending(how, code, number, error)

    def _look_again(self, state):
        """A generator: an engine says a little later that memory was short; what is being removed is gone then, and an
        engine that is being stopped, too."""
        for _ in range(4):
            yield 0.25
            try:
                state = yield from self.container.look()
            except AgentError:
                self._was_away = True
                break
            if state is None or state.out_of_memory:
                break
        return state

    def _by_engine(self, code):
        return self._outside("The %s engine was stopped while the run went on, and ended its container."
                             % self.engine.name, code)

    def _removed(self, code):
        return self._outside("The container was removed from outside.", code)

    def _outside(self, message, code):
        number = _SIGNALS.get(code)
        return Ending(message.rstrip("."), None if number else code, number,
                      failure.error("container", message, self.attempt.log))

    def _out_of_memory(self, code, limited):
        message = "The host ran out of memory and its kernel killed the script."
        if limited:
            message = no_memory(self.options.get("memory"), "the script")
        number = _SIGNALS.get(code)
        return Ending(message.rstrip("."), None if number else code, number,
                      failure.error("out_of_memory", message, self.attempt.log))

    def _not_begun(self, word, code):
        kind, message, action = container_script.problem(word, self.spec, self.image)
        return Ending(message.rstrip("."), code, None,
                      failure.error(kind, "%s %s" % (message, action), self.attempt.log))

    def _never_began(self, state, code):
        if code in (126, 127) or "/bin/sh" in state.error:
            problem = no_shell(self.image)
        elif self._was_away and code in _BY_ENGINE:
            return self._by_engine(code)
        elif code == 137 and state.out_of_memory:
            return self._out_of_memory(code, True)
        elif code in (137, 143):
            return self._outside("The container was ended from outside before its command began.", code)
        else:
            problem = AgentError("environment", "The container ended with exit code %s before the command began%s"
                                 % (code, ": %s" % state.error if state.error else "."),
                                 "Check the environment's image and Docker options.")
        return Ending(problem.message.rstrip("."), code, None,
                      failure.error(problem.code, "%s %s" % (problem.message, problem.action), self.attempt.log))

    def python(self):
        """The first words of a command line of the image's Python beside the run; None where the command is none."""
        if not self.spec.get("python"):
            return None
        return python_beside(self.engine, self.attempt.root, self.image, self.spec["environment"]["interpreter"])

    # Its end

    def end(self, grace):
        """Ends and removes the container, whatever its state; gives a sentence about what could not be ended."""
        # It may have begun just now, before the engine has said that it is made.
        self.running = self.running or container_script.began(self.attempt) == BEGAN
        # Also where a container of this attempt is only said to be gone, by a file that others see.
        made = self.container.made or os.path.exists(self.attempt.container)
        rest = self.keeper.finish(put_away(self.container, grace)) if made else ""
        for path in (self.attempt.container_script, self.attempt.container_began):
            remove(path)
        return rest

    def exit_status(self):
        """`(exit code, signal)` of the container's end, as far as it is known."""
        state = self.container.state
        if not self.running or state is None or state.running:
            return None, None
        number = _SIGNALS.get(state.exit_code)
        return (None, number) if number else (state.exit_code, None)


def with_tail(error, tail):
    """The AgentError with the end of another log than the command's."""
    error.tail = tail
    return error
