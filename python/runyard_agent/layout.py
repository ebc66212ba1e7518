"""Where things lie below a target's root folder."""

import os


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
        self.status = self.folder + "/status.json"
        self.events = self.folder + "/events.jsonl"
        self.monitor = self.folder + "/monitor.jsonl"
        self.cancel = self.folder + "/cancel.json"
        self.lock = self.folder + "/supervisor.lock"
        self.tree = self.folder + "/tree.json"
        self.hashes = self.folder + "/hashes.json"
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
    for name in ("agent", "blobs", "queue/tickets", "queue/slots", "runs"):
        os.makedirs(os.path.join(root, name), mode=0o700, exist_ok=True)


def all_attempts(root):
    """Every attempt on this host, as a generator of Attempt; folders of other names are passed over."""
    from .checks import attempt_number, run_id
    from .errors import AgentError
    try:
        runs = os.listdir(root + "/runs")
    except OSError:
        return
    for run in runs:
        try:
            run_id(run)
            numbers = os.listdir("%s/runs/%s/attempts" % (root, run))
        except (OSError, AgentError):
            continue
        for number in numbers:
            if number.isdigit():
                try:
                    yield Attempt(root, run, attempt_number(int(number)))
                except AgentError:
                    continue
