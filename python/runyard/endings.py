"""The ways in which a process ends, each with a last write of its journal: exit, exception, SIGTERM, a
`multiprocessing` child (which runs no exit handlers), and the fork that makes a second owner of the buffer."""

import atexit
import os
import signal
import sys
import threading

#: Python 3.7 and later tell of a fork; before, each line asks for the pid.
FORK_IS_TOLD = hasattr(os, "register_at_fork")

_current = None
_exit_hook = False
_ending = False


def install(journal):
    """Makes `journal` the one that is written at the end of this process. False when the process is at its end:
    nobody comes any more to write what waits."""
    global _current, _exit_hook
    _current = journal
    if _ending:
        return False
    if not _exit_hook:
        atexit.register(_at_exit)
        _exit_hook = True  # only now: a fork between the two must not leave a child without
    _install_finalizer(journal)
    if threading.current_thread() is threading.main_thread():
        _install_signal()
    return True


def _at_exit():
    global _ending
    _ending = True
    if _current is not None:
        _current.write_directly()


def _install_finalizer(journal):
    """A child of `multiprocessing` ends by os._exit after its finalizers."""
    # Nothing is imported: a fork while another thread imported the same would block that import in the child.
    process, util = sys.modules.get("multiprocessing.process"), sys.modules.get("multiprocessing.util")
    if not hasattr(process, "current_process") or not hasattr(util, "register_after_fork"):
        return
    if getattr(process.current_process(), "_parent_pid", None) is None:
        # A child may log while it imports the main module, before it becomes one and drops all finalizers.
        util.register_after_fork(journal, _finalize)
    else:
        _finalize(journal)


def _finalize(journal):
    if journal.is_own():
        # Late (a low priority), so that other finalizers may still log.
        sys.modules["multiprocessing.util"].Finalize(None, _at_exit, exitpriority=-100)


def _install_signal():
    try:
        before = signal.getsignal(signal.SIGTERM)
    except ValueError:
        return
    if before is _terminated or before is None or before is signal.SIG_IGN:
        return  # ours already, one that is not Python's, or one that ignores it
    global _before
    _before = before
    try:
        signal.signal(signal.SIGTERM, _terminated)
    except ValueError:
        pass  # a second interpreter in this process


_before = signal.SIG_DFL


def _terminated(number, frame):
    def go_on():
        if callable(_before):
            _before(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)

    journal = _current
    if journal is not None:
        if journal.defer(go_on):
            return
        journal.flush()
    go_on()
