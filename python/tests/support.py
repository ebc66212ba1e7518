"""What the tests of the agent share: a root folder, a channel, and a clean end of every process they start."""

import atexit
import os
import shutil
import signal
import sys
import tempfile
import time
import unittest

from runyard_agent import processes
from runyard_agent.atomic import read_json
from runyard_agent.layout import Attempt, all_attempts
from runyard_agent.record import TERMINAL

from . import snapshots
from .client import PATIENCE, Client


def wait_until(condition, what, seconds=PATIENCE):
    """Waits until `condition()` holds; AssertionError names `what` when it never does."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("waited %g s for %s" % (seconds, what))
        time.sleep(0.02)


#: An agent folder that an earlier test has deployed: copying it is quicker than compiling it again.
_deployed = []


class AgentTest(unittest.TestCase):
    """A test with a root folder of its own; everything that was started there is gone afterwards."""

    #: False in tests of the deployment itself.
    copies_agent = True

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="runyard-test-")
        self.root = os.path.join(self.folder, "root")
        self.clients = []
        if self.copies_agent and _deployed:
            os.mkdir(self.root)
            shutil.copytree(_deployed[0], self.root + "/agent")

    def connect(self, **options):
        """A new channel to the root."""
        client = Client(self.root, **options)
        self.clients.append(client)
        client.call("hello", {"protocol": 1, "client": "tests"})
        if self.copies_agent and not _deployed:
            place = tempfile.mkdtemp(prefix="runyard-test-")
            atexit.register(shutil.rmtree, place, True)
            shutil.copytree(self.root + "/agent", place + "/agent")
            _deployed.append(place + "/agent")
        return client

    def submit(self, client, script, **members):
        """Submits main.py; gives the run id."""
        return snapshots.submit(client, script, **members)

    def attempt(self, run, number=1):
        """The folder of an attempt."""
        return Attempt(self.root, run, number)

    def status(self, run):
        """status.json as it is now."""
        return read_json(self.attempt(run).status)

    def run_to_end(self, client, script, **members):
        """Submits, waits for the end; gives (WatchView, last status)."""
        view = client.watch(self.submit(client, script, **members))
        status = view.wait_end()
        self.assertEqual(view.problems, [])
        return view, status

    def tearDown(self):
        for client in self.clients:
            client.close()
        for attempt in all_attempts(self.root):
            end_attempt(attempt)
        shutil.rmtree(self.folder, ignore_errors=True)


def end_attempt(attempt):
    """Ends the supervisor and the processes of an attempt, by pid."""
    status = read_json(attempt.status) or {}
    supervisor = status.get("supervisor")
    if supervisor and status["state"] not in TERMINAL:
        processes.send(supervisor["pid"], supervisor["start"], signal.SIGKILL)
    for pid in processes.marked(attempt.mark):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass


def alive(pid):
    """True while the process runs (a zombie does not)."""
    process = processes.look(pid)
    return process is not None and not process.dead


def pids_in(view, label):
    """The pids that a script printed as `label: pid`."""
    words = view.text("user_logs/std_log.txt").decode("utf-8", "replace").split("\n")
    return [int(line.split(":")[1]) for line in words if line.startswith(label + ":") and line.split(":")[1].strip()]


PYTHON = sys.executable
