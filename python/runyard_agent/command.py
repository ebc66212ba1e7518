"""Starting a run's command, directly and in a session of its own."""

import errno
import os

from . import prctl
from .errors import AgentError
from .signals import restore
from .text import fs
from .tool import find


def argv_of(spec):
    """The arguments to execute."""
    return ["/bin/sh", "-c", spec["shell"]] if spec["shell"] is not None else list(spec["command"])


def interpreter_of(spec, variables):
    """How to run the Python that is the command, as the first words of a command line; None for other programs."""
    words = spec["command"] or []
    if not words or not os.path.basename(words[0]).startswith("python"):
        return None
    program = words[0] if "/" in words[0] else find(words[0], variables.get("PATH"))
    return [program] if program is not None else None


def missing_script(spec, code):
    """The script that a Python command names and that is not there, else None.

    Python itself would say it in its own words and end with exit code 2, as many scripts do.
    """
    words = spec["command"] or []
    if not words or not os.path.basename(words[0]).startswith("python"):
        return None
    skip = False
    for word in words[1:]:
        if skip:
            skip = False
        elif word in ("-W", "-X", "--check-hash-based-pycs"):
            skip = True
        elif not word.startswith("-") or word == "-":
            there = word == "-" or os.path.exists(os.path.join(fs(code), fs(word)))
            return None if there else word
        elif not word.startswith("--") and ("c" in word or "m" in word):
            return None
    return None


def start(spec, variables, code, log):
    """Starts the command in `code` with its output appended to `log`; gives its pid.

    AgentError not_found when the program is missing or cannot be executed, no_space when the log cannot be made.
    """
    argv = [fs(word) for word in argv_of(spec)]
    environment = {fs(name): fs(value) for name, value in variables.items()}
    prctl.load()
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    told, tell = os.pipe()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            for source, target in ((null, 0), (out, 1), (out, 2)):
                os.dup2(source, target)
            restore()
            prctl.die_with_parent()
            if os.getppid() != parent:
                os._exit(127)  # the supervisor died before it could take this process along
            os.chdir(fs(code))
            os.execvpe(argv[0], argv, environment)
        except OSError as error:
            os.write(tell, b"%d" % (error.errno or errno.EINVAL))
        finally:
            os._exit(127)
    for fd in (out, null, tell):
        os.close(fd)
    failed = os.read(told, 16)
    os.close(told)
    if failed:
        os.waitpid(pid, 0)
        raise _not_started(argv[0].decode("utf-8", "replace"), int(failed))
    return pid


def _not_started(program, number):
    if number in (errno.ENOENT, errno.ENOTDIR):
        return AgentError("not_found", "%s was not found on the host." % program,
                          "Choose an interpreter or a program that exists there.")
    if number in (errno.EACCES, errno.EPERM, errno.ENOEXEC):
        return AgentError("not_found", "%s is there but cannot be executed: %s." % (program, os.strerror(number)),
                          "Choose another interpreter, or make the file executable.")
    return AgentError("prepare", "%s could not be started: %s." % (program, os.strerror(number)))
