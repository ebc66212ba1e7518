"""Refusing what a channel or a snapshot must not name: ids and paths that lead elsewhere."""

from .errors import AgentError

_ID_FIRST = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
_ID = _ID_FIRST | frozenset("_-")
_HEX = frozenset("0123456789abcdef")

#: A run id is a folder's name, and file systems allow 255 bytes.
LONGEST_RUN_ID = 255

#: The highest number of an attempt.
LAST_ATTEMPT = 1000000


def run_id(value):
    """`value` if it is a run id, else AgentError bad_request."""
    if (isinstance(value, str) and 0 < len(value) <= LONGEST_RUN_ID and value[0] in _ID_FIRST
            and _ID.issuperset(value)):
        return value
    raise AgentError("bad_request", "%s is no run id (letters, digits, - and _, at most %d)."
                     % (shown(value), LONGEST_RUN_ID))


def attempt_number(value):
    """`value` if it is the number of an attempt (1 and up), else AgentError bad_request."""
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LAST_ATTEMPT:
        return value
    raise AgentError("bad_request", "%s is no attempt number (1 and up)." % shown(value))


def blob_hash(value):
    """`value` if it is a SHA-256 in lower-case hex, else AgentError bad_request."""
    if isinstance(value, str) and len(value) == 64 and _HEX.issuperset(value):
        return value
    raise AgentError("bad_request", "%s is no SHA-256 in lower-case hex." % shown(value))


def relative_path(value):
    """`value` if it is a relative path with `/` that stays below its folder, else AgentError bad_request."""
    if (isinstance(value, str) and value and "\0" not in value and len(value) <= 4096 and _is_text(value)
            and all(part not in ("", ".", "..") for part in value.split("/"))):
        return value
    raise AgentError("bad_request", "%s is no path inside the folder." % shown(value))


def _is_text(value):
    """False where JSON has made half a character of an escape, which no file's name holds."""
    try:
        value.encode("utf-8", "surrogateescape")
        return True
    except UnicodeEncodeError:
        return False


def absolute_paths(value, name):
    """The list of absolute paths that `value` is, empty for None, else AgentError bad_request."""
    if value is None:
        return []
    if isinstance(value, list) and all(isinstance(path, str) and path.startswith("/") and "\0" not in path
                                       for path in value):
        return value
    raise AgentError("bad_request", "%s must be a list of absolute paths, not %s." % (name, shown(value)))


def number(value, name, low, high):
    """`value` if it is an integer from `low` to `high`, else AgentError bad_request."""
    if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
        return value
    raise AgentError("bad_request", "%s must be a whole number from %d to %d, not %s."
                     % (name, low, high, shown(value)))


def shown(value):
    """A value short enough for an error sentence."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
