"""Locks of the kernel (flock): freed the moment their owner dies, whatever kills it.

The lock of an attempt (`supervisor.lock`) is the truth about its supervisor's life: whoever starts a
supervisor takes the lock first and hands it over by inheritance, so that there are never two.
"""

import errno
import fcntl
import os
import time


def open_lock(path):
    """A descriptor for `path`, made when missing, not inherited by commands."""
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def try_lock(path):
    """A descriptor that holds the lock of `path`, or None while another process holds it (or there is no folder)."""
    try:
        fd = open_lock(path)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    if lock_now(fd):
        return fd
    os.close(fd)
    return None


def lock_now(fd):
    """Takes the lock of an open descriptor if it is free; True when it is ours."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        raise


def take_inherited(fd):
    """Takes the lock of a descriptor that came by inheritance: held already, or, on a file system without inheritance
    (NFS), as soon as it is free. False when another process still holds it after five seconds."""
    os.set_inheritable(fd, False)
    for _ in range(50):
        if lock_now(fd):
            return True
        time.sleep(0.1)
    return False


def share_now(path):
    """A descriptor that holds the lock of an existing file together with others, None while one process has it for
    itself, or when the file was taken away in between."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return None
        raise
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        mine, there = os.fstat(fd), os.stat(path)
        if (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino):
            return fd
    except OSError as error:
        if error.errno not in (errno.EWOULDBLOCK, errno.EACCES, errno.ENOENT):
            os.close(fd)
            raise
    os.close(fd)
    return None


def is_held(path):
    """True while some process holds the lock of `path`."""
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # Shared, so that two who look at the same moment do not see each other.
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except OSError as error:
        return error.errno in (errno.EWOULDBLOCK, errno.EACCES)
    finally:
        os.close(fd)


def unlock(fd):
    """Frees a lock by word: a child that was just forked may still have a copy of the descriptor."""
    fcntl.flock(fd, fcntl.LOCK_UN)
    os.close(fd)


class Held(object):
    """`with Held(path):` waits for the lock and holds it for a few milliseconds of work."""

    def __init__(self, path):
        self._path = path
        self._fd = None

    def __enter__(self):
        self._fd = open_lock(self._path)
        fcntl.flock(self._fd, fcntl.LOCK_EX)
        return self

    def __exit__(self, *_):
        unlock(self._fd)
