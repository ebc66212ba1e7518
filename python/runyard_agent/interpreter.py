"""Looking at the Python that runs would get."""

import os

from .errors import AgentError
from .tool import Tool, find

#: Seconds until an interpreter that says nothing counts as broken.
_PATIENCE = 20.0


def look(asked):
    """A generator (turns) that returns `{executable, version}` of an interpreter: a path, or a name on the PATH.
    Both are None when it is not there; the version alone when it cannot be run."""
    if not isinstance(asked, str) or not asked or "\0" in asked:
        raise AgentError("bad_request", "interpreter must be a path or a name.")
    path = asked if "/" in asked else find(asked)
    if path is None or not os.access(path, os.X_OK) or not os.path.isfile(path):
        return {"executable": None, "version": None}, b""
    tool = Tool([path, "-S", "-E", "-c", "import sys; print('%d.%d.%d' % sys.version_info[:3])"], _PATIENCE)
    while not tool.poll():
        yield 0.02
    return {"executable": path, "version": (tool.result or "").strip() or None}, b""
