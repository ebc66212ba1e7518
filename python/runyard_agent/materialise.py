"""Making a run's working copy from its snapshot's blobs."""

import os

from . import blobs, manifest
from .errors import AgentError, from_os_error
from .text import fs, path_bytes

_CHUNK = 1 << 20
_ZEROS = bytes(_CHUNK)


def materialise(code, hash, folders, turn):
    """Writes the files, links and empty folders of manifest `hash` into the new folder `code`.

    `folders` hold the blobs; `turn` is called between files and may raise to stop the work. AgentError: not_found
    for a missing blob, no_space on a full disk, bad_request for a manifest that leads outside.
    """
    try:
        entries = manifest.parse(blobs.read_checked(_path(folders, hash, "the manifest"), hash))
        os.makedirs(code, exist_ok=True)
        root = fs(code)
        made = set([b""])
        for entry in entries:
            turn()
            path = path_bytes(entry.path)
            parent = path.rpartition(b"/")[0] if entry.hash is not None or entry.link is not None else path
            if parent not in made:
                os.makedirs(root + b"/" + parent, exist_ok=True)
                made.add(parent)
            if entry.link is not None:
                _place_link(root + b"/" + path, path_bytes(entry.link))
            elif entry.hash is not None:
                _copy(fs(_path(folders, entry.hash, entry.path)), root + b"/" + path, entry, turn)
        _check_links(root, [entry for entry in entries if entry.link is not None])
    except OSError as error:
        raise from_os_error(error, "making the working copy")


def _path(folders, hash, what):
    path = blobs.find(folders, hash)
    if path is None:
        raise AgentError("not_found", "The content of %s (%s) is no longer on the host." % (what, hash),
                         "Submit the run again.")
    return path


def _place_link(path, target):
    try:
        os.unlink(path)
    except OSError:
        pass
    os.symlink(target, path)


def _copy(source, target, entry, turn):
    source_fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # Exclusive and never through a link: nothing but what this copy makes may be written to.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0)
        target_fd = os.open(target, flags, 0o600)
        try:
            size = 0
            while True:
                data = os.read(source_fd, _CHUNK)
                if not data:
                    break
                size += len(data)
                if data == _ZEROS:
                    os.lseek(target_fd, len(data), os.SEEK_CUR)  # a hole stays one
                else:
                    while data:
                        data = data[os.write(target_fd, data):]
                turn()
            os.ftruncate(target_fd, size)
            os.fchmod(target_fd, entry.mode)  # whatever the umask is
        finally:
            os.close(target_fd)
    finally:
        os.close(source_fd)
    if size != entry.size:
        raise AgentError("corrupt", "The content of %s on the host has %d bytes instead of %d."
                         % (entry.path, size, entry.size), "Delete blob %s on the host and submit again." % entry.hash)


def _check_links(root, links):
    """Refuses links that lead outside by way of other links."""
    real_root = os.path.realpath(root)
    for entry in links:
        real = os.path.realpath(root + b"/" + path_bytes(entry.path))
        if real != real_root and not real.startswith(real_root + b"/"):
            raise AgentError("bad_request", "The link %s points outside the snapshot." % entry.path)
