"""How busy the host is."""

import os

from .host import LINUX, cpu_count, memory_total


class HostLoad(object):
    """CPU and memory of the whole host; the CPU figure is over the time since the last question."""

    def __init__(self):
        self._busy, self._total = _cpu_times()

    def cpu(self):
        """0..1 of all CPUs."""
        if not LINUX:
            return min(1.0, os.getloadavg()[0] / cpu_count())
        busy, total = _cpu_times()
        passed = total - self._total
        value = (busy - self._busy) / passed if passed > 0 else 0.0
        if passed > 0:
            self._busy, self._total = busy, total
        return round(min(1.0, max(0.0, value)), 4)


def memory_used():
    """Bytes of main memory that are not available to a new process."""
    if LINUX:
        try:
            with open("/proc/meminfo", "rb") as file:
                for line in file:
                    if line.startswith(b"MemAvailable:"):
                        return memory_total() - int(line.split()[1]) * 1024
        except OSError:
            pass
        return 0
    return memory_total() - _macos_available()


def _cpu_times():
    """(busy, total) in ticks since the host's start."""
    try:
        with open("/proc/stat", "rb") as file:
            ticks = [int(word) for word in file.readline().split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    idle = ticks[3] + (ticks[4] if len(ticks) > 4 else 0)
    return sum(ticks) - idle, sum(ticks)


def _macos_available():
    from .tool import output_of
    pages = {}
    size = 4096
    for line in (output_of(["vm_stat"], seconds=5) or "").splitlines():
        name, _, value = line.partition(":")
        if "page size of" in line:
            size = int(line.split("page size of")[1].split()[0])
        elif value.strip().rstrip(".").isdigit():
            pages[name] = int(value.strip().rstrip("."))
    return size * sum(pages.get(name, 0) for name in ("Pages free", "Pages inactive", "Pages speculative",
                                                      "Pages purgeable"))
