"""`distributed.json`, by which the programs of a run of several processes know what to do, and `nodes/`, by which they
tell how it went. A shared file system may show another node's files late: nobody fails because of that."""

import json
import os
import time

from .atomic import read_object, write_json
from .errors import AgentError

#: Seconds for which a file of another node is waited for (attributes are cached for a minute at most, usually).
PATIENCE = 180.0


def read(path, patience=PATIENCE):
    """The plan. AgentError when it is not there (any more)."""
    deadline = time.monotonic() + patience
    while True:
        plan = read_object(path)
        if plan is not None:
            return plan
        if time.monotonic() >= deadline:
            raise AgentError("prepare", "%s, which says what to run, is not there." % path,
                             "Check that all nodes see this folder.")
        time.sleep(0.25)


def forget(path):
    """Takes the plan away: it holds the run's variables."""
    try:
        os.unlink(path)
    except OSError:
        pass


def node_file(folder, node):
    """What a node's program says of its ranks."""
    return "%s/nodes/%d.json" % (folder, node)


def rank_file(folder, rank):
    """What a rank that MPI has started says of itself."""
    return "%s/nodes/rank_%d.json" % (folder, rank)


def end_file(folder):
    """Says that all ranks are to end, and because of which one: made once, by whoever is first."""
    return folder + "/nodes/end.json"


def tell_end(folder, why):
    """Makes end.json unless it is there; True when it was made now. On a full disk it is left out."""
    path = end_file(folder)
    mine = "%s.%s.%d" % (path, os.uname()[1], os.getpid())
    try:
        if os.path.exists(path):
            return False
        write_json(mine, why)
        try:
            os.link(mine, path)  # as a whole, and only once
        except FileExistsError:
            return False
        except OSError:
            # A file system without links: the first one makes it, half of it may be seen for a moment.
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            try:
                os.write(fd, json.dumps(why).encode("ascii") + b"\n")
            finally:
                os.close(fd)
        return True
    except OSError:
        return False
    finally:
        try:
            os.unlink(mine)
        except OSError:
            pass


def is_end_told(folder):
    """Whether all ranks are to end."""
    return os.path.exists(end_file(folder))


def end_told(folder):
    """What end.json says, None when there is none that makes sense."""
    return read_object(end_file(folder))
