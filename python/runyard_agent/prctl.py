"""What Linux lets a process say about its parent and its orphans; nothing elsewhere."""

import signal

from .host import LINUX

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_prctl = None


def become_subreaper(on=True):
    """Makes orphaned descendants children of this process (Linux); True when that worked."""
    return _call(_PR_SET_CHILD_SUBREAPER, 1 if on else 0)


def die_with_parent():
    """The kernel kills this process when the thread that forked it ends. Call `load` before the fork."""
    return _call(_PR_SET_PDEATHSIG, signal.SIGKILL)


def load():
    """Loads what a child calls, so that nothing is imported between fork and exec."""
    global _prctl
    if _prctl is None and LINUX:
        try:
            import ctypes
            _prctl = ctypes.CDLL(None).prctl
            _prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4
        except (ImportError, OSError, AttributeError):
            pass


def _call(option, value):
    load()
    return _prctl is not None and _prctl(option, value, 0, 0, 0) == 0
