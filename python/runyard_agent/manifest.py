"""A snapshot's manifest: which files, links and empty folders make a working copy."""

import json

from . import checks
from .errors import AgentError


class Entry(object):
    """One file (`hash`, `size`, `mode`), link (`link`) or empty folder (none of both)."""

    __slots__ = ("path", "mode", "size", "hash", "link")

    def __init__(self, path, mode=None, size=None, hash=None, link=None):
        self.path = path
        self.mode = mode
        self.size = size
        self.hash = hash
        self.link = link


def parse(data):
    """The entries of a manifest blob. AgentError bad_request when it would write outside its folder or makes
    no sense."""
    try:
        document = json.loads(data.decode("utf-8"))
        entries = document["entries"]
        version = document["version"]
    except (ValueError, KeyError, TypeError):
        raise AgentError("bad_request", "The snapshot's manifest is no manifest.")
    if version != 1 or not isinstance(entries, list):
        raise AgentError("unsupported", "The snapshot's manifest has version %s; this agent knows 1."
                         % checks.shown(version))
    found = [_entry(raw) for raw in entries]
    _check_tree(found)
    return found


def _entry(raw):
    if not isinstance(raw, dict):
        raise AgentError("bad_request", "The snapshot's manifest has an entry that is no object.")
    path = checks.relative_path(raw.get("path"))
    if "link" in raw:
        return Entry(path, link=_link(path, raw["link"]))
    if raw.get("dir") is True:
        return Entry(path)
    mode = checks.number(raw.get("mode"), "mode", 0, 0o777)
    return Entry(path, mode, checks.number(raw.get("size"), "size", 0, 1 << 62), checks.blob_hash(raw.get("hash")))


def _link(path, target):
    """A link's target, refused when it leads out of the working copy by its words."""
    if not isinstance(target, str) or not target or "\0" in target or target.startswith("/"):
        raise AgentError("bad_request", "The link %s points outside the snapshot (%s)." % (path, checks.shown(target)))
    depth = path.count("/")
    for part in target.split("/"):
        if part == "..":
            depth -= 1
        elif part not in ("", "."):
            depth += 1
        if depth < 0:
            raise AgentError("bad_request", "The link %s points outside the snapshot (%s)."
                             % (path, checks.shown(target)))
    return target


def _check_tree(entries):
    """No path twice, and nothing below a file or a link: a file written through a link could land anywhere."""
    leaves = {}
    for entry in entries:
        if entry.path in leaves:
            raise AgentError("bad_request", "The manifest names %s twice." % entry.path)
        leaves[entry.path] = entry.hash is not None or entry.link is not None
    for entry in entries:
        parent = entry.path.rpartition("/")[0]
        while parent:
            if leaves.get(parent):
                raise AgentError("bad_request", "The manifest puts %s below %s, which is no folder."
                                 % (entry.path, parent))
            parent = parent.rpartition("/")[0]
