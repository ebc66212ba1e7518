"""The host's GPUs, as `nvidia-smi` tells them."""

import os
import time

from .atomic import read_json, write_json
from .host import boot_id
from .tool import Tool, find

#: The longest a healthy nvidia-smi takes (seconds); without its persistence mode it wakes the driver each time.
PATIENCE = 20

_LIST = ["--query-gpu=index,name,memory.total", "--format=csv,noheader,nounits"]
_LOAD = ["--query-gpu=index,utilization.gpu,memory.used,memory.total", "--format=csv,noheader,nounits"]


def present():
    """True when the host has nvidia-smi."""
    return find("nvidia-smi") is not None


def listed(root):
    """`[{index, name, memory}]` (bytes) of this host; asked once in each life of the host, then kept. May wait for
    nvidia-smi; a `serve` runs `ask` first and so never waits here."""
    asking = ask(root)
    for _ in asking:
        time.sleep(0.02)
    return _known[1]


def ask(root):
    """A generator (turns) after which `listed` answers at once."""
    global _known
    if _known is not None and time.monotonic() < _known[0]:
        return
    if not present():
        _known = (time.monotonic() + _TRUST, [])
        return
    path = os.path.join(root, "queue", "gpus.json")
    kept = read_json(path)
    if isinstance(kept, dict) and kept.get("boot") == boot_id():
        _known = (time.monotonic() + _TRUST, kept["gpus"])
        return
    tool = Tool(["nvidia-smi"] + _LIST, PATIENCE)
    while not tool.poll():
        yield 0.02
    found = [{"index": int(words[0]), "name": words[1], "memory": _mebibytes(words[2])}
             for words in _rows(tool.result, 3)]
    _known = (time.monotonic() + _TRUST, found)
    if found:
        try:
            write_json(path, {"boot": boot_id(), "gpus": found})
        except OSError:
            pass  # asked again by the next process


#: (until when, the GPUs): what this process knows. Also "none" is believed for a while: a broken driver answers slowly.
_TRUST = 300.0
_known = None


class LoadProbe(object):
    """Asks for the GPUs' load without waiting: `poll` now and then, `latest` is the last answer."""

    def __init__(self):
        self.latest = []
        self.tool = None

    def start(self):
        """Asks again, unless an answer is still awaited or there are no GPUs."""
        if self.tool is None and present():
            self.tool = Tool(["nvidia-smi"] + _LOAD, PATIENCE)

    def poll(self):
        """Takes the answer when it has come."""
        if self.tool is not None and self.tool.poll():
            self.latest = parse_load(self.tool.result)
            self.tool = None


def parse_load(text):
    """`[{index, utilisation 0..1, memory_used, memory_total}]` (bytes) from nvidia-smi's lines."""
    return [{"index": int(words[0]), "utilisation": _number(words[1]) / 100.0, "memory_used": _mebibytes(words[2]),
             "memory_total": _mebibytes(words[3])} for words in _rows(text, 4)]


def _rows(text, count):
    for line in (text or "").splitlines():
        words = [word.strip() for word in line.split(",")]
        if len(words) == count and words[0].isdigit():
            yield words


def _number(word):
    try:
        return float(word)
    except ValueError:
        return 0.0  # "[N/A]"


def _mebibytes(word):
    return int(_number(word) * 1048576)
