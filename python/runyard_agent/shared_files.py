"""Files that another host writes, on a file system that keeps what it knows of them for a while (NFS: up to a minute).

There, opening a file asks the server anew (close-to-open consistency, nfs(5)); what is new in a folder is seen at once
only after a change of that folder through this host: its mode is set to what it is.
"""

import os
import stat
import time

#: File systems of this kind, as they are named in /proc/mounts. Lustre, GPFS and BeeGFS keep all hosts in step.
_DELAYING = ("nfs", "nfs4", "cifs", "smb3", "fuse.sshfs", "fuse.bindfs", "9p", "afs")

#: File systems that several hosts can share.
SHARED = _DELAYING + ("lustre", "gpfs", "beegfs", "beegfs_nodev", "ceph", "fuse.ceph", "fuse.glusterfs", "glusterfs",
                      "ocfs2", "gfs2", "panfs", "pvfs2", "orangefs", "wekafs", "virtiofs", "fuse.moosefs", "fuse.juicefs",
                      "fuse.quobyte", "acfs")

#: File systems of one host only.
LOCAL = ("ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "ramfs", "f2fs", "overlay", "reiserfs", "apfs", "hfs")

#: Seconds between two of these for one folder.
_PAUSE = 1.0


class SharedFiles(object):
    """Brings what is seen below `root` up to date; does nothing where that is never needed."""

    def __init__(self, root):
        self.delays = filesystem_of(root) in _DELAYING
        self._done = {}

    def refresh(self, folder):
        """What is new in a folder is seen from now on."""
        if not self.delays or not self._is_due(folder):
            return
        try:
            os.chmod(folder, stat.S_IMODE(os.stat(folder).st_mode))
        except OSError:
            pass  # it is not ours, or not there

    def refresh_file(self, path):
        """Size, time and content of a file are seen as they are."""
        if not self.delays or not self._is_due(path):
            return
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        except OSError:
            pass

    def _is_due(self, path):
        now = time.monotonic()
        if now - self._done.get(path, -_PAUSE) < _PAUSE:
            return False
        if len(self._done) > 5000:
            self._done.clear()
        self._done[path] = now
        return True


def filesystem_of(path):
    """The type of the file system that holds a path, None where nobody says it."""
    path = os.path.realpath(path)
    best, kind = "", None
    try:
        with open("/proc/mounts", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                parts = line.split(" ")
                place = parts[1].replace("\\040", " ")
                inside = path == place or path.startswith(place.rstrip("/") + "/")
                if inside and len(place) >= len(best):
                    best, kind = place, parts[2]
    except (OSError, IndexError):
        return None
    return kind


def is_shared(kind):
    """Whether other hosts can see it: True, False, or None where that cannot be told."""
    return True if kind in SHARED else False if kind in LOCAL else None
