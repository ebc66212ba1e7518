"""Content by SHA-256 below `<root>/blobs/<2>/<62>`, written once and as a whole."""

import os
import stat
import time

from . import checks
from .atomic import read_bytes, write_all
from .digest import sha256, small_sha256
from .errors import AgentError

#: Blobs that may be under way at a time; each holds a descriptor.
_UNDER_WAY = 64

#: Seconds for which a use of a blob need not be noted again.
NOTED = 3600.0

#: Hashes looked up between two turns of the event loop.
_SLICE = 500


class BlobStore(object):
    """The blobs of a root, and of further read-only folders of the same shape."""

    def __init__(self, root, others=()):
        self._folder = root + "/blobs"
        self._others = list(others)
        self._partial = {}
        self._uses = 0

    @property
    def folders(self):
        """Every folder in which a blob may be found."""
        return [self._folder] + self._others

    def find(self, hash):
        """The path of a blob, None when it is missing."""
        return find(self.folders, hash)

    def missing(self, payload):
        """A generator (turns) that returns the missing ones of many hashes (one a line), one a line. The others
        count as used."""
        try:
            hashes = payload.decode("ascii").split()
        except UnicodeDecodeError:
            raise AgentError("bad_request", "blobs.missing wants hashes, one a line.")
        found = []
        for count, hash in enumerate(hashes):
            if count % _SLICE == _SLICE - 1:
                yield
            if use(self.folders, checks.blob_hash(hash)) is None:
                found.append(hash + "\n")
        return "".join(found).encode("ascii")

    def put(self, pieces, payload):
        """Stores pieces of blobs; `payload` holds their bytes one after the other."""
        if not isinstance(pieces, list) or not all(isinstance(piece, dict) for piece in pieces):
            raise AgentError("bad_request", "blobs.put wants a list of pieces.")
        start = 0
        view = memoryview(payload)
        for piece in pieces:
            hash = checks.blob_hash(piece.get("hash"))
            size = checks.number(piece.get("size"), "size", 0, 1 << 62)
            length = checks.number(piece.get("length"), "length", 0, len(payload) - start)
            offset = checks.number(piece.get("offset"), "offset", 0, size - length if size >= length else 0)
            self._take(hash, size, offset, view[start:start + length])
            start += length
        if start != len(payload):
            raise AgentError("bad_request", "blobs.put has %d bytes that belong to no piece." % (len(payload) - start))

    def _take(self, hash, size, offset, data):
        if offset == 0:
            self._drop(hash)
            if len(self._partial) >= _UNDER_WAY:
                # Uploads that were given up leave theirs; the one that waits longest goes.
                self._drop(min(self._partial, key=lambda other: self._partial[other].used))
            self._partial[hash] = _Partial(self._folder, hash, size)
        partial = self._partial.get(hash)
        if partial is None or partial.offset != offset or partial.size != size:
            self._drop(hash)
            raise AgentError("bad_request", "The pieces of blob %s do not come in order; start it again at 0." % hash)
        self._uses += 1
        partial.used = self._uses
        try:
            if partial.add(data):
                del self._partial[hash]
        except (OSError, AgentError):
            self._drop(hash)
            raise

    def _drop(self, hash):
        partial = self._partial.pop(hash, None)
        if partial is not None:
            partial.discard()

    def close(self):
        """Drops what is under way."""
        for hash in list(self._partial):
            self._drop(hash)


class _Partial(object):
    """A blob of which not every piece is here."""

    def __init__(self, folder, hash, size):
        self.size = size
        self.offset = 0
        self.used = 0
        self._hash = hash
        self._target = "%s/%s/%s" % (folder, hash[:2], hash[2:])
        os.makedirs(os.path.dirname(self._target), mode=0o700, exist_ok=True)
        os.makedirs(folder + "/tmp", mode=0o700, exist_ok=True)
        self._temporary = "%s/tmp/%s.%d" % (folder, hash, os.getpid())
        self._fd = os.open(self._temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._sum = sha256()

    def add(self, data):
        """Takes the next bytes; True when the blob is complete and in its place."""
        write_all(self._fd, data)
        self._sum.update(data)
        self.offset += len(data)
        if self.offset < self.size:
            return False
        if self._sum.hexdigest() != self._hash:
            raise AgentError("corrupt", "Blob %s arrived with other content." % self._hash, "Send it again.")
        fd, self._fd = self._fd, -1
        os.close(fd)
        os.rename(self._temporary, self._target)
        return True

    def discard(self):
        """Forgets what has come."""
        if self._fd >= 0:
            os.close(self._fd)
        try:
            os.unlink(self._temporary)
        except OSError:
            pass


def find(folders, hash):
    """The path of a blob in the first folder that has it, None when none has."""
    for folder in folders:
        path = "%s/%s/%s" % (folder, hash[:2], hash[2:])
        if os.path.isfile(path):
            return path
    return None


def use(folders, hash):
    """`(path, size)` of a blob in the first folder that has it, None when none has. In the first of them, the host's
    own, the blob's time says when it was used last, so that it is not cleaned up."""
    for folder in folders:
        path = "%s/%s/%s" % (folder, hash[:2], hash[2:])
        try:
            found = os.stat(path)
        except OSError:
            continue
        if not stat.S_ISREG(found.st_mode):
            continue
        if folder is folders[0] and found.st_mtime < time.time() - NOTED:
            try:
                os.utime(path)
            except FileNotFoundError:
                continue  # a clean-up takes it away at this very moment
            except OSError:
                pass
        return path, found.st_size
    return None


def read_checked(path, hash):
    """The content of a small blob; AgentError corrupt when it is not what its name says."""
    data = read_bytes(path)
    if small_sha256(data) != hash:
        raise AgentError("corrupt", "Blob %s on the host has other content than its name says." % hash,
                         "Delete it on the host (%s) and submit again." % path)
    return data
