"""Waiting for an image of a registry to be a .sif file: it is there, or somebody makes it, or this process does.

Whoever holds `<key>.lock` makes it, also where several hosts share the root; its log is that of all who wait.
"""

import errno
import os

from . import apptainer, failure
from .errors import AgentError
from .locks import try_lock, unlock
from .log_copy import LogCopy
from .shared_files import SharedFiles
from .tool import Tool


class SifWait(object):
    """Call `poll` until it gives the path of the image, and `close` in any case."""

    def __init__(self, attempt, image, engine, variables):
        self.reason = None
        self._image = image
        self._engine = engine
        self._variables = apptainer.host_variables(variables)
        self._folder = apptainer.folder_of(attempt.root)
        self._path = apptainer.place_of(attempt.root, image)
        self._log = self._path[:-4] + ".log"
        self._target = attempt.build_log
        self._shared = SharedFiles(attempt.root)
        self._lock = self._tool = self._copy = None

    def poll(self):
        """The path once the image is there, else None. AgentError environment, with `tail`, when it cannot be had."""
        if self._tool is not None:
            return self._poll_tool()
        if os.path.exists(self._path):
            return self._found()
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        self._lock = try_lock(self._path[:-4] + ".lock")
        if self._lock is None:
            self.reason = "Waiting for the image %s, which is being converted" % self._image
            self._follow()
            return None
        self._shared.refresh(self._folder)
        if os.path.exists(self._path):
            return self._found()
        self._begin()
        return None

    def close(self):
        """Ends what is under way; nothing half is left."""
        if self._tool is not None:
            self._tool.close()
            self._tool = None
            remove(self._part)
        self._let_go()

    def _found(self):
        try:
            os.utime(self._path)  # for the clean-up
        except OSError:
            pass
        self._let_go()
        return self._path

    def _begin(self):
        for name in os.listdir(self._folder):
            if name.startswith(os.path.basename(self._path) + "."):
                remove(self._folder + "/" + name)  # of one who was killed
        remove(self._log)
        self._part = "%s.%d" % (self._path, os.getpid())
        self.reason = "Converting the image %s" % self._image
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            said = "Converting the image %s with %s %s\n" % (self._image, self._engine.name, self._engine.version or "")
            os.write(log, said.encode("utf-8", "surrogateescape"))
            self._tool = Tool(apptainer.pull_argv(self._engine.program, self._image, self._part), 1e9, self._variables,
                              output=log, bound=True)
        finally:
            os.close(log)
        self._follow()

    def _poll_tool(self):
        self._follow()
        if not self._tool.poll():
            return None
        code, self._tool = self._tool.code, None
        self._follow()
        if code != 0 or not os.path.exists(self._part):
            remove(self._part)
            raise self._error()
        try:
            # Never over one that is there, and perhaps in use elsewhere.
            os.link(self._part, self._path)
        except OSError as problem:
            if problem.errno != errno.EEXIST:
                os.rename(self._part, self._path)
        remove(self._part)
        return self._found()

    def _error(self):
        tail = failure.tail_of(self._log)
        self._let_go()
        said = [line.strip() for line in tail.splitlines() if line.strip()]
        fatal = [line for line in said if line.startswith(("FATAL", "ERROR"))]
        error = AgentError(
            "environment", "The image %s could not be converted: %s" % (
                self._image, (fatal or said or ["%s says nothing." % self._engine.name])[-1]),
            "Check the image's name, and sign in to its registry where it asks for that (%s registry login, or %s remote "
            "login)." % (self._engine.kind, self._engine.kind))
        if "no space left on device" in tail.lower():
            error = AgentError("no_space", "The disk of the host is full: the image could not be converted.",
                               "Free some space, or set APPTAINER_TMPDIR to a larger disk in the target's set-up lines.")
        error.tail = tail
        return error

    def _follow(self):
        """Copies the log of whoever makes it."""
        try:
            if self._copy is None:
                self._copy = LogCopy(self._log, self._target)
            self._copy.copy()
        except OSError:
            pass  # it is not there yet, or the disk is full: the run does not depend on it

    def _let_go(self):
        if self._copy is not None:
            self._follow()
            self._copy.close()
            self._copy = None
        if self._lock is not None:
            unlock(self._lock)
            self._lock = None


def remove(path):
    """Takes a file away, if it is there."""
    try:
        os.unlink(path)
    except OSError:
        pass
