"""The agent as one archive, its deployment, its size, and its syntax."""

import ast
import os
import subprocess
import sys
import unittest
import zipfile

from . import snapshots
from .client import SOURCE
from .support import AgentTest


def python_files():
    for parent, folders, names in os.walk(SOURCE):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            if name.endswith(".py"):
                yield os.path.join(parent, name)


class Syntax(unittest.TestCase):

    @unittest.skipIf(sys.version_info < (3, 8), "ast.parse knows feature_version from Python 3.8 on")
    def test_all_files_are_python_3_6(self):
        for path in python_files():
            with open(path, encoding="utf-8") as file:
                ast.parse(file.read(), path, feature_version=(3, 6))

    def test_files_are_small(self):
        for path in python_files():
            with open(path, encoding="utf-8") as file:
                self.assertLessEqual(len(file.readlines()), 360, path)


class Deployment(AgentTest):

    copies_agent = False

    def archive(self):
        path = os.path.join(self.folder, "agent.pyz")
        with open(path, "wb") as file:
            file.write(b"#!/usr/bin/env python3\n")
            with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
                for name in sorted(python_files()):
                    relative = os.path.relpath(name, SOURCE)
                    if not relative.startswith("tests"):
                        archive.write(name, relative)
        return path

    def test_from_the_archive(self):
        archive = self.archive()
        version = subprocess.check_output([sys.executable, archive, "--version"]).decode("ascii").strip()
        self.assertRegex(version, "^[0-9a-f]{16}$")
        for _ in range(2):
            client = self.connect_to(archive)
            hello = client.call("hello", {"protocol": 1})
            self.assertEqual(hello["agent"], version)
            self.assertEqual(hello["root"], self.root)
            client.close()
        self.assertEqual(os.listdir(self.root + "/agent"), [version])
        self.assertEqual(os.stat(self.root).st_mode & 0o777, 0o700)
        os.unlink(archive)
        # The extension's update took the archive away; what was deployed goes on.
        client = self.connect()
        _, status = self.run_to_end(client, "import runyard; print(runyard.__file__)")
        self.assertEqual(status["state"], "Completed")

    def test_over_what_a_purge_has_left(self):
        archive = self.archive()
        self.connect_to(archive).close()
        (version,) = os.listdir(self.root + "/agent")
        folder = self.root + "/agent/" + version
        for left in ("VERSION", "__main__.py", "runyard_agent/serve.py"):
            os.unlink(os.path.join(folder, left))
            self.connect_to(archive).close()
            self.assertTrue(os.path.isfile(os.path.join(folder, left)), left)
        self.assertEqual(os.listdir(self.root + "/agent"), [version])

    def test_half_deployed_agents_go(self):
        archive = self.archive()
        folder = self.root + "/agent"
        os.makedirs(folder + "/0123456789abcdef.new-99999/runyard_agent")
        for name in ("0123456789abcdef.pyz-99999", ".probe-99999"):
            open(os.path.join(folder, name), "w").close()
        long_ago = 1500000000
        for name in os.listdir(folder):
            os.utime(os.path.join(folder, name), (long_ago, long_ago))
        self.connect_to(archive).close()
        self.assertEqual(len(os.listdir(folder)), 1, os.listdir(folder))

    def connect_to(self, agent):
        from . import client as module
        before, module.SOURCE = module.SOURCE, agent
        try:
            return self.connect()
        finally:
            module.SOURCE = before

    def test_bad_usage(self):
        for words in ([], ["serve"], ["serve", "--root"], ["serve", "--root", self.root, "--nonce", "a b"], ["x"]):
            process = subprocess.Popen([sys.executable, SOURCE] + words, stderr=subprocess.PIPE, stdin=subprocess.PIPE)
            _, err = process.communicate()
            self.assertEqual(process.returncode, 2, words)
            self.assertTrue(err, words)

    def test_a_root_that_cannot_be_made(self):
        path = os.path.join(self.folder, "file")
        open(path, "w").close()
        process = subprocess.Popen([sys.executable, SOURCE, "serve", "--root", path + "/x", "--nonce", "a"],
                                   stderr=subprocess.PIPE, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        out, err = process.communicate()
        self.assertEqual((process.returncode, out), (1, b""))
        self.assertIn(b"cannot deploy", err)

    @unittest.skipUnless(sys.platform.startswith("linux"), "reads VmRSS of /proc")
    def test_memory_with_fifty_watches(self):
        client = self.connect()
        client.call("host.configure", {"slots": 3})
        manifest = snapshots.send(client, {"main.py": "import time; print('x', flush=True); time.sleep(600)"})
        runs = []
        for _ in range(50):
            spec = snapshots.spec_of(manifest, grace_seconds=0.1)
            client.call("run.submit", {"spec": spec})
            runs.append((spec["run"], client.watch(spec["run"])))
        runs[0][1].wait_log(b"x")
        supervisor = runs[0][1].statuses[-1]["supervisor"]["pid"]
        self.assertLess(resident(client.process.pid), 30 << 20)
        self.assertLess(resident(supervisor), 18 << 20)
        for run, _ in reversed(runs):
            client.call("run.cancel", {"run": run, "attempt": 1})
        for _, view in runs:
            self.assertEqual(view.wait_end()["state"], "Canceled")


def resident(pid):
    """Bytes of a process in memory."""
    with open("/proc/%d/status" % pid) as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS:"))
