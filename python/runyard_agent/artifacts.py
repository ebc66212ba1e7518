"""What a run left: files under outputs/, logs/, user_logs/ and artifacts/, listed, read and hashed in small steps."""

import json
import os
import stat

from . import checks
from .atomic import read_object, write_json
from .digest import sha256
from .errors import AgentError
from .text import from_fs, fs, path_bytes, path_text

#: Entries looked at, and bytes hashed, between two turns of the event loop.
_ENTRIES = 200
_HASHED = 1 << 21

#: Files that one reply tells of, so that their sizes fit into its header.
_MANY = 20000

#: What a listing may take in a header; a longer one is asked for in pieces.
LISTING_LIMIT = 900000


def folders(attempt):
    """`(prefix, folder)` of everything that counts as an artifact; `artifacts/` has no prefix."""
    return (("outputs/", attempt.code + "/outputs"), ("logs/", attempt.code + "/logs"),
            ("user_logs/", attempt.folder + "/user_logs"), ("", attempt.artifacts))


#: What the `runyard` module has not finished to write.
_HALF_WRITTEN = b".runyard-tmp-"

def _inside(attempt, path):
    """True when a path (bytes) does not lead out of the attempt's folder by a link."""
    return os.path.realpath(path).startswith(os.path.realpath(fs(attempt.folder)) + b"/")


_RESERVED = ("outputs/", "logs/", "user_logs/")


def walk(attempt, only=None):
    """A generator (turns) that returns `[(path, file, stat)]` of all artifacts, sorted by path.

    `only` limits it to one prefix ("logs/"). Links are not followed; what vanishes while it looks is left out.
    """
    found = []
    count = 0
    for prefix, folder in folders(attempt):
        if only is not None and prefix != only:
            continue
        if not _inside(attempt, fs(folder)):
            continue
        waiting = [(fs(prefix), fs(folder))]
        while waiting:
            start, place = waiting.pop()
            try:
                entries = list(os.scandir(place))
            except OSError:
                continue
            for entry in entries:
                count += 1
                if count % _ENTRIES == 0:
                    yield
                path = start + entry.name
                if entry.name.startswith(_HALF_WRITTEN):
                    continue
                if prefix == "" and from_fs(path + b"/").startswith(_RESERVED):
                    continue
                try:
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append((path + b"/", entry.path))
                    elif entry.is_file(follow_symlinks=False):
                        found.append((path_text(path), entry.path, entry.stat(follow_symlinks=False)))
                except OSError:
                    continue
    found.sort(key=lambda item: item[0])
    return found


def listing(found):
    """The `files` member for what `walk` returned."""
    return [{"path": path, "size": status.st_size, "mtime": status.st_mtime_ns // 1000000}
            for path, _, status in found]


def hashed_listing(attempt):
    """A generator (turns) that returns the listing of an ended attempt with `sha256`; hashes are kept in
    hashes.json, so that a second question costs a walk."""
    kept = read_object(attempt.hashes) or {}
    fresh = {}
    files = []
    for path, file, status in (yield from walk(attempt)):
        stamp = "%d.%d.%d" % (status.st_size, status.st_mtime_ns, status.st_ino)
        known = kept.get(path)
        if isinstance(known, list) and len(known) == 2 and known[0] == stamp:
            hash = known[1]
        else:
            hash = yield from _hash(file)
        entry = {"path": path, "size": status.st_size, "mtime": status.st_mtime_ns // 1000000}
        if hash is not None:
            entry["sha256"] = hash
            fresh[path] = [stamp, hash]
        files.append(entry)
    if fresh != kept:
        try:
            write_json(attempt.hashes, fresh)
        except OSError:
            pass  # a full disk: hashed again the next time
    return files


def _hash(file):
    try:
        fd = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        total = sha256()
        while True:
            data = os.read(fd, _HASHED)
            if not data:
                return total.hexdigest()
            total.update(data)
            yield
    except OSError:
        return None
    finally:
        os.close(fd)


def page(files, after):
    """`(files after the path `after` that fit into a header, whether there are more)`."""
    size = 0
    taken = []
    for entry in files:
        if after is not None and entry["path"] <= after:
            continue
        size += len(json.dumps(entry)) + 2
        if size > LISTING_LIMIT:
            return taken, True
        taken.append(entry)
    return taken, False


def read(attempt, path, offset, length):
    """`(size of the file, bytes at offset)` of an artifact. AgentError bad_request for a path that leads outside,
    not_found for one that is not there."""
    fd, size = _open(attempt, path)
    try:
        return size, os.pread(fd, length, offset)
    finally:
        os.close(fd)


def read_many(attempt, paths, room):
    """A generator (turns) that returns `(sizes, bytes)` of whole artifacts, up to `room` bytes of them. A size is
    None for a file that cannot be read, -1 for one that is longer than `room`; where the next one has no room any
    more the sizes end."""
    if not isinstance(paths, list):
        raise AgentError("bad_request", "paths must be a list of paths.")
    for path in paths:
        checks.relative_path(path)
    sizes = []
    parts = []
    left = room
    for path in paths[:_MANY]:
        if len(sizes) % 20 == 19:
            yield
        try:
            fd, size = _open(attempt, path)
        except AgentError:
            sizes.append(None)
            continue
        try:
            if size > room:
                sizes.append(-1)
                continue
            if size > left:
                break
            data = os.pread(fd, size, 0) if size else b""
        except OSError:
            sizes.append(None)
            continue
        finally:
            os.close(fd)
        sizes.append(len(data))
        parts.append(data)
        left -= len(data)
    return sizes, b"".join(parts)


def _open(attempt, path):
    """`(descriptor, size)` of an artifact, for reading; errors as `read` says."""
    path = checks.relative_path(path)
    prefix, folder = next(item for item in folders(attempt) if path.startswith(item[0]))
    file = fs(folder) + b"/" + fs(path[len(prefix):])
    if not os.path.lexists(file):
        file = fs(folder) + b"/" + path_bytes(path[len(prefix):])
    real = os.path.realpath(file)
    if not _inside(attempt, file):
        raise AgentError("bad_request", "%s leads out of the run's folder." % path)
    try:
        fd = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    except OSError:
        raise AgentError("not_found", "The run has no artifact %s." % path)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise AgentError("not_found", "The run has no artifact %s (it is no file)." % path)
    return fd, found.st_size
