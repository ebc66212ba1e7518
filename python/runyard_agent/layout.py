"""Where things lie below a target's root folder."""

import os

from .checks import LAST_ATTEMPT

_DIGITS = frozenset("0123456789")


class Attempt(object):
    """The folder of one attempt and the names in it."""

    def __init__(self, root, run, number):
        self.root = root
        self.run = run
        self.number = number
        self.folder = "%s/runs/%s/attempts/%d" % (root, run, number)
        self.code = self.folder + "/code"
        self.artifacts = self.folder + "/artifacts"
        self.journal = self.folder + "/journal"
        self.log = self.folder + "/user_logs/std_log.txt"
        self.spec = self.folder + "/spec.json"
        self.environment = self.folder + "/environment.json"
        self.launch = self.folder + "/launch.json"
        self.home = self.folder + "/home"
        self.build_log = self.folder + "/user_logs/build_log.txt"
        self.container = self.folder + "/container.json"
        self.container_script = self.folder + "/container.sh"
        self.container_began = self.folder + "/container.began"
        self.status = self.folder + "/status.json"
        self.events = self.folder + "/events.jsonl"
        self.monitor = self.folder + "/monitor.jsonl"
        self.cancel = self.folder + "/cancel.json"
        self.lock = self.folder + "/supervisor.lock"
        self.tree = self.folder + "/tree.json"
        self.hashes = self.folder + "/hashes.json"
        self.collected = self.folder + "/collected.json"
        self.supervisor_log = self.folder + "/supervisor.log"

    @property
    def key(self):
        """(run, attempt), by which tables are kept."""
        return (self.run, self.number)

    @property
    def mark(self):
        """The value of RUNYARD_MARK in every process of this attempt."""
        return "%s/%d" % (self.run, self.number)

    def exists(self):
        """True once the attempt was submitted."""
        return os.path.exists(self.spec)


def prepare_root(root):
    """Makes the folders of a target; the root is for its owner only. OSError when that is not possible."""
    os.makedirs(root, mode=0o700, exist_ok=True)
    if os.stat(root).st_uid == os.getuid():
        os.chmod(root, 0o700)
    for name in ("agent", "blobs", "queue/tickets", "queue/slots", "runs", "slurm/tickets"):
        os.makedirs(os.path.join(root, name), mode=0o700, exist_ok=True)


def all_runs(root):
    """The ids of all runs on this host; what is being removed has another name."""
    from .checks import run_id
    from .errors import AgentError
    try:
        names = os.listdir(root + "/runs")
    except OSError:
        return
    for name in names:
        try:
            yield run_id(name)
        except AgentError:
            continue


def attempts_of(root, run):
    """The attempts of one run, as a generator of Attempt; folders of other names are passed over."""
    try:
        names = os.listdir("%s/runs/%s/attempts" % (root, run))
    except OSError:
        return
    for name in names:
        # Scripts may make any folder there, also one whose name is a number in another writing.
        if name[:1] != "0" and _DIGITS.issuperset(name) and len(name) < 8 and int(name) <= LAST_ATTEMPT:
            yield Attempt(root, run, int(name))


def all_attempts(root):
    """Every attempt on this host, as a generator of Attempt."""
    for run in all_runs(root):
        for attempt in attempts_of(root, run):
            yield attempt
