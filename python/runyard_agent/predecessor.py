"""One `serve` a server and target: a line that was cut without a word leaves the one before waiting at its end."""

import os
import signal

from . import processes
from .atomic import read_object, write_json
from .errors import AgentError
from .host import boot_id


def take_over(root, session):
    """Ends the `serve` that served this session before, and notes this one. `session` is hexadecimal."""
    if not isinstance(session, str) or not 16 <= len(session) <= 64 or session.strip("0123456789abcdef"):
        raise AgentError("bad_request", "session must be 16 to 64 hexadecimal digits.")
    folder = root + "/serve"
    path = "%s/%s.json" % (folder, session)
    before = read_object(path) or {}
    pid = before.get("pid")
    if isinstance(pid, int) and pid != os.getpid() and before.get("boot") == boot_id():
        processes.send(pid, before.get("start"), signal.SIGTERM)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        write_json(path, {"pid": os.getpid(), "start": processes.start_of(os.getpid()), "boot": boot_id()})
    except OSError:
        pass  # on a full disk it is served all the same
