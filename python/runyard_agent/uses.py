"""How many processes share a lock: for people, who want to know how many runs use an environment."""

import os

from .locks import try_lock


def count_sharers(path):
    """The number of those who hold a lock of the kernel (1 where only that somebody does can be told)."""
    if not os.path.exists(path):
        return 0
    fd = try_lock(path)
    if fd is not None:
        os.close(fd)
        return 0
    return max(1, _counted(path))


def _counted(path):
    """By /proc/locks: `1: FLOCK  ADVISORY  READ 812 08:01:131 0 EOF`."""
    try:
        inode = os.stat(path).st_ino
        with open("/proc/locks") as file:
            words = [line.split() for line in file]
    except (OSError, ValueError):
        return 0
    # Devices are named differently by some file systems, so that the inode must do.
    return sum(1 for line in words if len(line) > 5 and line[1:4:2] == ["FLOCK", "READ"]
               and line[5].rpartition(":")[2] == str(inode))
