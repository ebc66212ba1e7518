"""Which host this is, and which of its lives (boot)."""

import os
import sys

LINUX = sys.platform.startswith("linux")

#: What every command needs of the host's own environment even when nothing is inherited.
BASIC_VARIABLES = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ")


def boot_id():
    """A text that is new after every start of the host."""
    global _boot
    if _boot is None:
        _boot = _read_boot_id()
    return _boot


_boot = None


def _read_boot_id():
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        pass
    from .tool import output_of
    text = output_of(["sysctl", "-n", "kern.boottime"], seconds=5)
    return text.split("}")[0].strip("{ ") if text else "unknown"


def cpu_count():
    """How many CPUs this process may use."""
    try:
        return len(os.sched_getaffinity(0)) or 1
    except (AttributeError, OSError):
        return os.cpu_count() or 1


def memory_total():
    """Bytes of main memory, 0 when unknown."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return 0


def disk_free(path):
    """Bytes that a user may still write on the file system of `path`."""
    found = os.statvfs(path)
    return found.f_bavail * found.f_frsize
