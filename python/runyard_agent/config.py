"""What a server has set for this host: `queue/config.json`, kept together and changed member by member."""

from . import checks
from .atomic import read_object, write_json
from .errors import AgentError

#: How supervisors are started: as plain detached processes, or in a scope of the user's systemd.
DETACH = ("process", "systemd")

_KEEP = {"days": 14, "bytes": 50000000000}


def _path(root):
    return root + "/queue/config.json"


def check(params):
    """The members of a host.configure that are given. AgentError bad_request names the one that is wrong."""
    found = {}
    if "slots" in params:
        slots = params["slots"]
        found["slots"] = None if slots is None else checks.number(slots, "slots", 1, 1024)
    if "detach" in params:
        found["detach"] = detach_way(params["detach"])
    if "keep" in params:
        found["keep"] = _keep(params["keep"])
    return found


def detach_way(value):
    """`value` if it is a way of starting supervisors, else AgentError bad_request."""
    if isinstance(value, str) and value in DETACH:
        return value
    raise AgentError("bad_request", "detach must be process or systemd, not %s." % checks.shown(value))


def _keep(value):
    if not isinstance(value, dict):
        raise AgentError("bad_request", "keep must be an object with days and bytes.")
    found = {}
    if "days" in value:
        days = value["days"]
        if isinstance(days, bool) or not isinstance(days, (int, float)) or not 0 <= days <= 36500:
            raise AgentError("bad_request", "keep.days must be a number from 0 to 36500, not %s." % checks.shown(days))
        found["days"] = days
    if "bytes" in value:
        found["bytes"] = checks.number(value["bytes"], "keep.bytes", 0, 1 << 62)
    return found


def change(root, members):
    """Takes over what `check` gave; the rest stays as it was. The caller holds the queue's lock."""
    kept = read_object(_path(root)) or {}
    members = dict(members)
    if "keep" in members:
        before = kept.get("keep")
        members["keep"] = dict(before if isinstance(before, dict) else {}, **members["keep"])
    kept.update(members)
    write_json(_path(root), kept)


def slots(root):
    """The configured number of slots, None where the host decides."""
    found = (read_object(_path(root)) or {}).get("slots")
    return found if isinstance(found, int) and not isinstance(found, bool) and found > 0 else None


def detach(root):
    """How supervisors are started here."""
    found = (read_object(_path(root)) or {}).get("detach")
    return found if found in DETACH else DETACH[0]


def keep(root):
    """`(days, bytes)`: how long, and up to which size, what was collected is kept."""
    found = (read_object(_path(root)) or {}).get("keep")
    try:
        found = dict(_KEEP, **_keep(found))
    except AgentError:
        found = _KEEP
    return found["days"], found["bytes"]
