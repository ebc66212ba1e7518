"""A full disk: a small tmpfs under the root."""

import json
import os
import subprocess
import sys
import unittest

from . import snapshots
from .client import Refused
from .support import AgentTest


def mount(folder, size):
    os.makedirs(folder)
    return subprocess.call(["mount", "-t", "tmpfs", "-o", "size=%s" % size, "tmpfs", folder],
                           stderr=subprocess.DEVNULL) == 0


class FullDisk(AgentTest):

    copies_agent = False

    def setUp(self):
        AgentTest.setUp(self)
        if os.getuid() != 0 or not sys.platform.startswith("linux"):
            raise unittest.SkipTest("mounting a small tmpfs needs root on Linux")
        if not mount(self.root, "6m"):
            raise unittest.SkipTest("this machine refuses to mount a tmpfs")

    def tearDown(self):
        try:
            for client in self.clients:
                client.close()
            self.clients = []
        finally:
            subprocess.call(["umount", "-l", self.root])
        AgentTest.tearDown(self)

    def fill(self):
        path = os.path.join(self.root, "filler")
        with open(path, "ab", buffering=0) as file:
            for size in (1 << 16, 4096, 1):
                try:
                    while True:
                        file.write(b"f" * size)
                except OSError:
                    pass
        return path

    def test_a_script_that_fills_the_disk(self):
        client = self.connect()
        run = self.submit(client, (
            "import os, runyard\nos.makedirs('outputs')\n"
            "for i in range(1000): runyard.log('x', i, step=i)\nrunyard.flush()\n"
            "f = open('outputs/big', 'wb', buffering=0)\n"
            "while True:\n    n = f.write(b'x' * 65536)\n"
            "    if n < 65536: f.write(b'x')\n"))
        view = client.watch(run)
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "no_space"), status)
        self.assertEqual(view.states()[-1], "Failed")
        events = [json.loads(line) for line in view.text("events.jsonl").splitlines()]
        self.assertEqual([event["n"] for event in events], list(range(1, len(events) + 1)))
        name, = [name for name in view.files if name.startswith("journal/")]
        self.assertEqual([json.loads(line)["s"] for line in view.text(name).splitlines()], list(range(1000)))
        client.call("run.delete", {"run": run})
        _, status = self.run_to_end(client, "print('room again')")
        self.assertEqual(status["state"], "Completed")

    def test_full_while_a_run_logs_then_room_again(self):
        client = self.connect()
        run = self.submit(client, (
            "import os, runyard, time\nrunyard.log('x', 0, step=0)\nrunyard.flush()\nprint('ready', flush=True)\n"
            "while not os.path.exists(%r): time.sleep(0.01)\n"
            "for i in range(1, 2000): runyard.log('x', i, step=i)\nrunyard.flush()\n"
            "open(%r, 'w').close()\n"
            "while not os.path.exists(%r): time.sleep(0.01)\n" % self.flags()))
        view = client.watch(run)
        view.wait_log(b"ready")
        filler = self.fill()
        self.raise_flag(0)
        client.wait(lambda: os.path.exists(self.flags()[1]), "the script to have logged on a full disk")
        with self.assertRaises(Refused) as caught:
            snapshots.send(client, {"x": "y" * 100000})
        self.assertEqual(caught.exception.code, "no_space")
        os.unlink(filler)
        self.raise_flag(2)
        status = view.wait_end()
        self.assertEqual(status["state"], "Completed")
        name, = [name for name in view.files if name.startswith("journal/")]
        self.assertEqual([json.loads(line)["s"] for line in view.text(name).splitlines()], list(range(2000)))

    def test_the_end_is_told_on_a_full_disk(self):
        client = self.connect()
        run = self.submit(client, "import os, time\nprint('ready', flush=True)\n"
                                  "while not os.path.exists(%r): time.sleep(0.01)\n" % self.flags()[0])
        view = client.watch(run)
        view.wait_log(b"ready")
        self.fill()
        self.raise_flag(0)
        status = view.wait_end()
        self.assertEqual(status["state"], "Completed")
        self.assertEqual(view.states()[-1], "Completed")

    def test_cancel_on_a_full_disk(self):
        client = self.connect()
        run = self.submit(client, "import time\nprint('ready', flush=True)\ntime.sleep(300)\n")
        view = client.watch(run)
        view.wait_log(b"ready")
        self.fill()
        client.call("run.cancel", {"run": run, "attempt": 1, "reason": "tests"})
        self.assertEqual(view.wait_end()["state"], "Canceled")

    def test_no_room_for_the_working_copy(self):
        client = self.connect()
        manifest = snapshots.send(client, {"main.py": "print(1)", "big": b"b" * (2 << 20)})
        spec = snapshots.spec_of(manifest)
        with open(os.path.join(self.root, "filler"), "wb") as file:
            free = os.statvfs(self.root)
            file.write(b"f" * (free.f_bavail * free.f_bsize - (3 << 19)))
        client.call("run.submit", {"spec": spec})
        view = client.watch(spec["run"])
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "no_space"), status)

    def test_clean_up_and_collected_on_a_full_disk(self):
        client = self.connect()
        runs = [self.run_to_end(client, "import os\nos.makedirs('outputs/a/b')\n"
                                        "open('outputs/a/b/c', 'w').write('x' * 200000)\n")[0].run for _ in range(2)]
        client.call("run.collected", {"run": runs[0], "attempt": 1, "only_here": []})
        client.call("host.configure", {"keep": {"days": 0}})
        self.fill()
        with self.assertRaises(Refused) as caught:
            client.call("run.collected", {"run": runs[1], "attempt": 1, "only_here": ["x" * 100000]})
        self.assertEqual(caught.exception.code, "no_space")
        self.assertFalse(os.path.exists(self.attempt(runs[1]).collected))
        blobs = [os.path.join(parent, name) for parent, _, names in os.walk(self.root + "/blobs") for name in names]
        for path in blobs:
            os.utime(path, (1, 1))
        gone = client.call("host.clean")
        self.assertEqual((gone["runs"], gone["blobs"]), (1, len(blobs)))
        self.assertEqual(os.listdir(self.root + "/runs"), [runs[1]])
        client.call("run.collected", {"run": runs[1], "attempt": 1, "only_here": ["outputs/a/b/c"]})
        self.assertEqual(client.call("host.clean")["runs"], 0)

    def flags(self):
        return tuple(os.path.join(self.folder, "flag%d" % number) for number in range(3))

    def raise_flag(self, number):
        with open(self.flags()[number], "w"):
            pass
