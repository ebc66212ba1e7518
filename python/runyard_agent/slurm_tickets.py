"""Attempts that Slurm has not got yet, in order of submission: `slurm/tickets/<seq>.json`, and who looks after them."""

import os
import sys
import time

from . import slurm_tool
from .atomic import read_object, write_json
from .checks import attempt_number, run_id
from .detached import start
from .errors import AgentError
from .launch import own_launcher
from .layout import Attempt
from .locks import is_held, try_lock


def _folder(root):
    return root + "/slurm/tickets"


def add(root, attempt):
    """Adds a ticket; to be called before the attempt's folder appears. Gives its path."""
    os.makedirs(_folder(root), mode=0o700, exist_ok=True)
    seq = int(time.time() * 1000000)
    path = "%s/%020d-%d.json" % (_folder(root), seq, os.getpid())
    write_json(path, {"run": attempt.run, "attempt": attempt.number})
    return path


def remove(path):
    """The attempt has its job, or needs none any more."""
    try:
        os.unlink(path)
    except OSError:
        pass


def waiting(root):
    """`[(path, Attempt)]` in order; what is no ticket is passed over."""
    found = []
    try:
        names = sorted(name for name in os.listdir(_folder(root)) if name.endswith(".json"))
    except OSError:
        return found
    for name in names:
        path = _folder(root) + "/" + name
        ticket = read_object(path) or {}
        try:
            found.append((path, Attempt(root, run_id(ticket.get("run")), attempt_number(ticket.get("attempt")))))
        except AgentError:
            continue
    return found


def any_waiting(root):
    """Whether there is a ticket at all."""
    try:
        return any(name.endswith(".json") for name in os.listdir(_folder(root)))
    except OSError:
        return False


def lock_path(root):
    """Held by the dispatcher while it lives."""
    return root + "/slurm/dispatch.lock"


def is_dispatching(root):
    """Whether a dispatcher lives."""
    return is_held(lock_path(root))


def _variables():
    """The session's own are of no use in a job."""
    return {name: value for name, value in slurm_tool.variables().items()
            if not name.startswith(("SSH_", "RUNYARD_", "XDG_"))}


def kick(root):
    """Starts the dispatcher where somebody waits for one."""
    if not any_waiting(root):
        return
    lock = try_lock(lock_path(root))
    if lock is None:
        return
    try:
        launcher = own_launcher()
        # With the variables that the set-up lines have made: modules, the cluster's own, an account.
        start([launcher[0], "-I", "-S", "-X", "utf8", launcher[1], "dispatch", "--root", root, "--lock", "3"],
              root + "/slurm/dispatch.log", lock, variables=_variables())
    except OSError as error:
        print("the dispatcher could not be started: %s" % error, file=sys.stderr)
    finally:
        os.close(lock)
