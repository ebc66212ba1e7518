"""System metrics of a run, one line of monitor.jsonl at a time."""

import json
import time

from . import gpus
from .host import disk_free
from .lines import LineFile
from .load import HostLoad, memory_used
from .record import now_ms


class Monitor(object):
    """Measures the run's process tree and its host every `seconds`."""

    def __init__(self, attempt, seconds):
        self._attempt = attempt
        self._seconds = seconds
        self._file = LineFile(attempt.monitor)
        self._host = HostLoad()
        self._then = time.monotonic()
        self._ticks = 0
        self.next = self._then  # the first line at once: a short run has one, too
        self.probe = gpus.LoadProbe()
        self.probe.start()

    def measure(self, found, ticks):
        """Writes one line: `found` is the process tree, `ticks` its CPU time in hundredths of a second. None where
        the processes cannot be seen."""
        now = time.monotonic()
        self.next = now + self._seconds
        passed = max(now - self._then, 0.001)
        line = {
            "n": self._file.count + 1,
            "t": now_ms(),
            "cpu": None if found is None else round(max(0, ticks - self._ticks) / 100.0 / passed, 3),
            "rss": None if found is None else sum(process.rss for process in found.values()),
            "host_cpu": self._host.cpu(),
            "host_memory": memory_used(),
            "gpus": [{"index": gpu["index"], "utilisation": gpu["utilisation"], "memory": gpu["memory_used"]}
                     for gpu in self.probe.latest],
        }
        self._then, self._ticks = now, ticks
        try:
            line["disk_free"] = disk_free(self._attempt.folder)
            self._file.append(json.dumps(line, separators=(",", ":")).encode("ascii") + b"\n")
        except OSError:
            pass  # a full disk: this line is left out
        self.probe.start()
