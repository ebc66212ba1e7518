"""Files that are replaced as a whole: a reader or a kill sees the old one or the new one, never half of one."""

import json
import os


def write_bytes(path, data, mode=0o600):
    """Replaces `path` by `data`. OSError (ENOSPC, ...) leaves the old file as it was."""
    temporary = "%s.%d.tmp" % (path, os.getpid())
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
    try:
        try:
            write_all(fd, data)
        finally:
            os.close(fd)
        os.rename(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise


def write_json(path, value, mode=0o600):
    """Replaces `path` by one JSON document and a newline."""
    write_bytes(path, json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n", mode)


def write_all(fd, data):
    """Writes every byte; OSError when the system takes no more."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view):]


def read_bytes(path, limit=1 << 26):
    """The whole content of a file (at most `limit` bytes of it)."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        parts = []
        while limit > 0:
            part = os.read(fd, min(limit, 1 << 20))
            if not part:
                break
            parts.append(part)
            limit -= len(part)
        return b"".join(parts)
    finally:
        os.close(fd)


def read_object(path):
    """The JSON object in `path`; None when the file is missing, unreadable or anything else. A script may write
    into the folder of its own run, so what is read there is never trusted to have a form."""
    found = read_json(path)
    return found if isinstance(found, dict) else None


def read_json(path, default=None):
    """The JSON document in `path`; `default` when the file is missing, unreadable or no JSON."""
    try:
        return json.loads(read_bytes(path).decode("utf-8"))
    except (OSError, ValueError):
        return default
