"""Where environments that were built on this host lie: `environments/<key>/builds/<n>/`, and who holds them.

What is decided about builds (one begins, one goes) is decided under `environments/lock`, which is held for
milliseconds only. A build lives while its `builder.lock` is held; it is in use while somebody shares `interest.lock`.
"""

import os
import time

from .atomic import read_object, write_json
from .locks import is_held, lock_now, open_lock, share_now, try_lock, unlock

#: Seconds for which a use need not be noted again.
_NOTED = 3600.0

_HEX = frozenset("0123456789abcdef")


class Build(object):
    """One build of one environment, and the names in its folder."""

    def __init__(self, root, key, number):
        self.root = root
        self.key = key
        self.number = number
        self.folder = "%s/environments/%s/builds/%d" % (root, key, number)
        self.log = self.folder + "/log.txt"
        self.facts = self.folder + "/facts.json"
        self.failed = self.folder + "/failed.json"
        self.request = self.folder + "/request.json"  # for the builder, gone once it has read it
        self.reason = self.folder + "/reason.json"
        self.reserve = self.folder + "/reserve"
        self.lock = self.folder + "/builder.lock"
        self.interest = self.folder + "/interest.lock"
        # Short, as some packages make sockets in it while they are built.
        self.temporary = "%s/environments/tmp/%s-%d" % (root, key[:12], number)

    @property
    def mark(self):
        """The value of RUNYARD_MARK in every process of this build."""
        return "environment/%s/%d" % (self.key, self.number)

    @property
    def tag(self):
        """The name of the image that this build makes."""
        return "runyard/%s:%d" % (self.key[:16], self.number)

    def state(self):
        """`ready`, `failed`, `building`, or `dead`: its builder is gone without a result."""
        held = is_held(self.lock)  # first: what the builder wrote before it let go counts
        if os.path.exists(self.facts):
            return "ready"
        if os.path.exists(self.failed):
            return "failed"
        return "building" if held else "dead"

    def has_result(self):
        """True once it is ready or has failed."""
        return os.path.exists(self.facts) or os.path.exists(self.failed)

    def join(self):
        """A descriptor that keeps this build in use until it is closed; None while somebody takes it away."""
        return share_now(self.interest)

    def note_use(self):
        """Notes for the clean-up that it is used now."""
        try:
            if os.stat(self.interest).st_mtime < time.time() - _NOTED:
                os.utime(self.interest)
        except OSError:
            pass

    def is_used(self):
        """True while somebody waits for it or uses what was built."""
        fd = self.take()
        if fd is not None:
            os.close(fd)
        return fd is None and os.path.exists(self.interest)

    def take(self):
        """A descriptor by which nobody else can use it until it is closed; None while somebody does."""
        if not os.path.exists(self.interest):
            return None
        return try_lock(self.interest)


def folder_of(root, key):
    """The folder of an environment."""
    return "%s/environments/%s" % (root, key)


def is_key(name):
    """Whether a name is that of an environment."""
    return isinstance(name, str) and len(name) == 64 and _HEX.issuperset(name)


def all_keys(root):
    """The keys of all environments on this host."""
    try:
        return sorted(name for name in os.listdir(root + "/environments") if is_key(name))
    except OSError:
        return []


def builds_of(root, key):
    """The builds of an environment, the latest first."""
    try:
        names = os.listdir(folder_of(root, key) + "/builds")
    except OSError:
        return []
    numbers = sorted((int(name) for name in names if name.isdigit() and name[0] != "0"), reverse=True)
    return [Build(root, key, number) for number in numbers]


def latest_ready(root, key):
    """The build that counts, None when there is none."""
    for build in builds_of(root, key):
        if os.path.exists(build.facts):
            return build
    return None


def about(root, key):
    """environment.json of an environment: what was built, for whom, and by which engine."""
    return read_object(folder_of(root, key) + "/environment.json") or {}


def prepare(root):
    """Makes the folder of all environments."""
    os.makedirs(root + "/environments/tmp", mode=0o700, exist_ok=True)


class Deciding(object):
    """`with Deciding(root) as mine:` holds `environments/lock`; `mine` is False while another process does."""

    def __init__(self, root):
        self._root = root
        self._fd = None

    def __enter__(self):
        prepare(self._root)
        self._fd = try_lock(self._root + "/environments/lock")
        return self._fd is not None

    def __exit__(self, *_):
        if self._fd is not None:
            unlock(self._fd)


def add(root, key, description, request):
    """A new build: `(Build, its builder.lock held, its interest.lock shared)`. The caller decides (see Deciding).

    It appears with its locks held, so that nobody takes it for one that has died.
    """
    folder = folder_of(root, key)
    try:
        os.makedirs(folder + "/builds", mode=0o700, exist_ok=True)
        if not os.path.exists(folder + "/environment.json"):
            write_json(folder + "/environment.json", description)
        others = builds_of(root, key)
        build = Build(root, key, others[0].number + 1 if others else 1)
        return _appear(root, build, request)
    except BaseException:
        forget(root, key)
        raise


def _appear(root, build, request):
    hidden = "%s/environments/.new-%d-%d" % (root, os.getpid(), int(time.time() * 1e6))
    os.mkdir(hidden, 0o700)
    lock = interest = None
    try:
        lock = open_lock(hidden + "/builder.lock")
        lock_now(lock)
        os.close(open_lock(hidden + "/interest.lock"))
        interest = share_now(hidden + "/interest.lock")
        write_json(hidden + "/request.json", request)
        os.rename(hidden, build.folder)
    except BaseException:
        for fd in (lock, interest):
            if fd is not None:
                os.close(fd)
        for name in ("builder.lock", "interest.lock", "request.json"):
            try:
                os.unlink(hidden + "/" + name)
            except OSError:
                pass
        os.rmdir(hidden)
        raise
    return build, lock, interest


def set_apart(build):
    """Moves a build's folder out of sight at once; gives the path of what is to be removed, None when it is gone
    already. The caller decides (see Deciding)."""
    trash = "%s/environments/.trash-%d-%d" % (build.root, os.getpid(), int(time.time() * 1e6))
    try:
        os.rename(build.folder, trash)
    except OSError:
        return None
    forget(build.root, build.key)
    return trash


def forget(root, key):
    """Removes an environment of which no build is left. The caller decides (see Deciding)."""
    folder = folder_of(root, key)
    try:
        os.rmdir(folder + "/builds")
    except OSError:
        return
    for remove, path in ((os.unlink, folder + "/environment.json"), (os.rmdir, folder)):
        try:
            remove(path)
        except OSError:
            pass
