"""`build`: the process that builds one environment on this host, whatever number of runs wait for it.

It holds the build's `builder.lock`. Once nobody shares `interest.lock` any more it ends itself and leaves nothing.
"""

import os
import signal
import sys
import time

from . import build_remains, engine, environment_store, failure, package_list, prctl
from .atomic import read_object, write_bytes, write_json
from .build_command import Command, end_build
from .build_log import BuildLog
from .environment_store import Build, Deciding
from .errors import AgentError, from_os_error, is_full
from .host import disk_free
from .locks import lock_now, take_inherited
from .materialise import materialise
from .record import now_ms
from .removal import remove
from .text import fs

#: Seconds between two looks at who is interested.
_LOOK = 0.2

#: Bytes set aside, so that the end can be told on a full disk.
_RESERVE = 32768

_FULL = "No space left on device"

#: Bytes below which a disk is full whatever a program says of its trouble: nothing can be installed.
_ROOM = 65536

#: Variables that would make a build's programs look into another Python's folders, install there, or install
#: something else or nothing: what is built belongs to everybody who asks for the same.
_MISLEADING = ("PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__", "VIRTUAL_ENV", "PIP_USER",
               "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_LOG", "PIP_LOG_FILE", "PIP_PYTHON", "PIP_DRY_RUN",
               "PIP_REPORT", "PIP_REQUIREMENT", "PIP_EDITABLE", "PIP_HELP", "PIP_VERSION")


class Canceled(Exception):
    """Nobody is interested any more, or this process is told to end."""


class Builder(object):
    """Builds one environment. A recipe has `build(builder)`, which returns facts, and `undo(builder)`; perhaps
    `stop(builder)`, which brings the command under way to its end."""

    def __init__(self, build, request):
        self.build = build
        self.recipe = request["recipe"]
        self.program = request["program"]
        self.label = request["label"]
        self.engine = engine.from_json(request["engine"])
        self.folder = build.temporary
        self.log = BuildLog(build.log)
        self.variables = dict(request["variables"])
        for name in _MISLEADING:
            self.variables.pop(name, None)
        self.variables.update({"RUNYARD_MARK": build.mark, "TMPDIR": build.temporary + "/tmp"})
        self.told_to_end = False
        self._blobs = request["blobs"]
        self._interest = None
        self._next_look = 0.0
        self._command = None
        self._reason = None
        self._kept = []

    def called(self, kind):
        """Its label after the word for its kind, with which the label of an environment without a name begins."""
        return self.label[len(kind) + 1:] if self.label.startswith(kind + " ") else self.label

    def run(self):
        """Builds, and writes what came of it."""
        started = time.monotonic()
        recipe = _recipe(self.recipe["kind"])
        error = None
        try:
            write_bytes(self.build.reserve, b"\1" * _RESERVE)
            self._prepare()
            facts = recipe.build(self)
            finish(remove(self.folder))
            facts = dict({"key": self.build.key, "kind": self.recipe["kind"], "built": now_ms(),
                          "duration_ms": int((time.monotonic() - started) * 1000)}, **facts)
            self.log.say("Built in %s." % _duration(time.monotonic() - started))
            if self.log.full:
                raise AgentError("no_space", "The disk of the host is full: the build's log has no room.",
                                 "Free some space on the host, then try again.")
            write_json(self.build.facts, facts)
        except Canceled:
            self._leave_nothing(recipe)
            return
        except AgentError as caught:
            error = caught
        except OSError as caught:
            error = from_os_error(caught, "building the environment")
        except Exception as caught:
            import traceback
            traceback.print_exc()
            error = AgentError("environment", "The build failed: %s: %s." % (type(caught).__name__, caught))
        if error is not None:
            self._fail(recipe, self._explained(error), started)
        _unlink(self.build.reserve)
        _unlink(self.build.reason)

    def _prepare(self):
        """The folder that holds the recipe's files and what they refer to."""
        finish(remove(self.folder))
        os.makedirs(self.folder + "/tmp", mode=0o700)
        os.makedirs(self.folder + "/files")
        if self.recipe["context"] is not None:
            materialise(self.files, self.recipe["context"], self._blobs, self.check)
        for name, text in self.recipe["files"].items():
            path = fs("%s/%s" % (self.files, name))
            os.makedirs(os.path.dirname(path), exist_ok=True)
            if os.path.lexists(path):
                os.unlink(path)
            with open(path, "wb") as file:
                file.write(fs(text))

    @property
    def files(self):
        """The folder of the recipe's files."""
        return self.folder + "/files"

    # What recipes need

    def say(self, text):
        """A line for the log."""
        self.log.say(text)

    def reason(self, text):
        """What the runs that wait say they wait for; None: for the build as such."""
        if text == self._reason:
            return
        self._reason = text
        try:
            write_json(self.build.reason, {"reason": text})
        except OSError:
            pass  # a full disk

    def execute(self, argv, variables=None, see=None):
        """Runs a command in the folder of files, with its output in the log; gives its exit code. `see` is called with
        each line and says whether it is left out. Canceled when that comes in between."""
        self.say("$ " + " ".join(_quoted(word) for word in argv))
        return self._run(argv, variables, lambda data: self.log.take(data, see), lambda: self.log.end(see))

    def output(self, argv, variables=None):
        """`(exit code, output as text)` of a command of which the log says nothing."""
        parts = []
        code = self._run(argv, variables, parts.append, lambda: None)
        return code, b"".join(parts).decode("utf-8", "replace")

    def packages(self, argv, variables=None):
        """What the Python that `argv` starts finds installed: see package_list. Nothing where it cannot say."""
        code, text = self.output(list(argv) + ["-c", package_list.SCRIPT], variables)
        return (package_list.parse(text) if code == 0 else None) or {"python": None, "packages": None}

    def _run(self, argv, variables, take, end):
        self.check()
        self.log.lines.clear()
        command = self._command = Command(argv, self.files if os.path.isdir(self.files) else "/",
                                          self.variables if variables is None else variables, take)
        try:
            while True:
                code = command.step(0.1)
                if code is not None:
                    return code
                self.check()
        finally:
            command.close()
            self._command = None
            end()

    def check(self):
        """Canceled when nobody wants this build any more."""
        if self.told_to_end:
            raise Canceled()
        now = time.monotonic()
        if now < self._next_look or self._interest is not None:
            return
        self._next_look = now + _LOOK
        # Held from here on: who comes now waits until nothing is left, and begins anew.
        self._interest = self.build.take()
        if self._interest is not None or not os.path.exists(self.build.interest):
            raise Canceled()

    def keep(self, lock):
        """A descriptor that is held until this process ends."""
        self._kept.append(lock)

    def wait_for(self, lock):
        """Waits for a lock of the kernel (an open descriptor)."""
        while not lock_now(lock):
            self.check()
            time.sleep(0.05)

    # Endings

    def _explained(self, error):
        """An error for a person: a full disk is what it is, whatever the program that met it calls it."""
        said = "\n".join(self.log.lines).lower()
        full = self.log.full or _FULL.lower() in said or "errno 28" in said or _is_full(self.build.folder)
        if error.code != "no_space" and full:
            return AgentError("no_space", "The disk of the host is full: the environment could not be built.",
                              "Free some space on the host, then try again.")
        return error

    def _fail(self, recipe, error, started):
        tail = "\n".join(list(self.log.lines)[-failure.TAIL_LINES:]) if self.log.full else None
        self._undo(recipe)
        _unlink(self.build.reserve)
        self.say(error.in_full())
        self.say("Failed after %s." % _duration(time.monotonic() - started))
        result = dict(error.as_json(), tail=tail or failure.tail_of(self.build.log))
        for _ in range(100):
            try:
                write_json(self.build.failed, result)
                return
            except OSError as full:
                if not is_full(full):
                    raise
                time.sleep(0.1)

    def _undo(self, recipe):
        """Everything of the half build goes but its log."""
        self._next_look = float("inf")  # nothing cancels this
        self.told_to_end = False
        if hasattr(recipe, "stop"):
            recipe.stop(self)
        finish(end_build(self.build))
        recipe.undo(self)
        finish(remove(self.folder))

    def _leave_nothing(self, recipe):
        self._undo(recipe)
        while True:
            with Deciding(self.build.root) as mine:
                if mine:
                    trash = environment_store.set_apart(self.build)
                    break
            time.sleep(0.02)
        if trash is not None:
            finish(remove(trash))


def _recipe(kind):
    if kind == "venv":
        from . import recipe_venv as found
    elif kind == "conda":
        from . import recipe_conda as found
    else:
        from . import recipe_image as found
    return found


def size_of(folder):
    """Bytes that a folder takes on the disk."""
    from .run_folder import size_of as walk
    generator = walk(folder)
    while True:
        try:
            next(generator)
        except StopIteration as stop:
            return stop.value[0]


def finish(generator):
    """Does a job (see jobs.py) at once."""
    for pause in generator:
        if pause:
            time.sleep(pause)


def _is_full(folder):
    try:
        return disk_free(folder) < _ROOM
    except OSError:
        return False


def _duration(seconds):
    return "%.1f s" % seconds if seconds < 60 else "%d min %d s" % divmod(int(seconds), 60)


def _quoted(word):
    if word and all(char.isalnum() or char in "-_./=:,+@%" for char in word):
        return word
    return "'" + word.replace("'", "'\\''") + "'"


def _unlink(path):
    try:
        os.unlink(path)
    except OSError:
        pass


def main(root, key, number, lock_fd):
    """Builds; `lock_fd` is the inherited lock of the build. Gives the exit code."""
    build = Build(root, key, number)
    if not take_inherited(lock_fd):
        print("another process builds %s" % build.mark, file=sys.stderr)
        return 1
    request = read_object(build.request)
    _unlink(build.request)
    if request is None:
        return 1
    builder = Builder(build, request)

    def told(*_):
        builder.told_to_end = True

    for name in ("SIGTERM", "SIGINT", "SIGHUP"):
        signal.signal(getattr(signal, name), told)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    prctl.become_subreaper()
    finish(build_remains.of_others(build))
    builder.run()
    finish(build_remains.superseded(root, key))
    return 0
