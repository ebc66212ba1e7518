"""Starting a process that is detached from the terminal, the session and every descriptor of whoever starts it."""

import os

from . import systemd
from .signals import restore
from .tool import find

_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "LD_LIBRARY_PATH",
         "DYLD_LIBRARY_PATH")


def start(arguments, output, kept=None, detached=True, scope=None, variables=None):
    """Starts `arguments` with its output appended to `output` (a path, or a descriptor), and with the descriptor
    `kept` as its 3. Gives its pid when not `detached`.

    A detached one belongs to init at once; one that is not stays a child of the caller (a supervisor, whose
    orphans come back to it and who must know them from its run's processes). With `scope` (a description) it is
    started by the user's systemd, out of the reach of what ends a session; where that does not work it is started
    as without, and its output says so. `variables` are those it has; a few of this process where none are given.
    """
    if variables is None:
        variables = {name: os.environ[name] for name in _KEPT if name in os.environ}
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            if detached and os.fork():
                os._exit(0)
            _settle(output, kept)
            if scope is not None:
                arguments = _through_systemd(arguments, variables, scope, kept is not None)
            os.execve(arguments[0], arguments, variables)
        finally:
            os._exit(127)
    if detached:
        os.waitpid(pid, 0)
    return pid


def _settle(output, kept):
    """Leaves nothing of whoever started this process but what it is to have."""
    try:
        out = output if isinstance(output, int) else os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    except OSError:
        out = os.open(os.devnull, os.O_WRONLY)
    null = os.open(os.devnull, os.O_RDONLY)
    # Copies above those that are given away, so that none is lost before it is copied.
    sources = [os.dup(fd) for fd in ((null, out, out) if kept is None else (null, out, out, kept))]
    while min(sources) < 4:
        sources = [os.dup(fd) for fd in sources]
    for target, source in enumerate(sources):
        os.dup2(source, target)
    close_above(len(sources) - 1)
    os.chdir("/")
    restore()


def _through_systemd(arguments, variables, scope, has_kept):
    """The arguments by which systemd-run becomes the command, once a trial has worked; else the command's own."""
    if has_kept:
        os.set_inheritable(3, False)  # a trial that hangs must not hold the lock
    works = systemd.works()
    if has_kept:
        os.set_inheritable(3, True)
    if not works:
        try:
            os.write(2, b"systemd-run --user does not work here; started without it\n")
        except OSError:
            pass  # a full disk
        return arguments
    variables.update(systemd.variables(os.environ))
    return [find("systemd-run")] + systemd.scope(scope)[1:] + arguments


def close_above(last):
    """Closes every descriptor above `last`."""
    for folder in ("/proc/self/fd", "/dev/fd"):
        try:
            numbers = [int(name) for name in os.listdir(folder)]
        except (OSError, ValueError):
            continue
        for number in numbers:
            if number > last:
                try:
                    os.close(number)
                except OSError:
                    pass
        return
    os.closerange(last + 1, 4096)
