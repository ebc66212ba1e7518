"""What the tests of the `runyard` module share: scripts with a journal folder, and a count of what they logged."""

import collections
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import unittest

from .client import SOURCE


class JournalTest(unittest.TestCase):
    """A journal folder, scripts that write into it, and what is found there."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="runyard-test-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.journal = os.path.join(self.folder, "journal")
        os.mkdir(self.journal)
        self.env = dict(os.environ, PYTHONPATH=SOURCE, RUNYARD_JOURNAL=self.journal, RUNYARD_RUN_DIR=self.folder,
                        RUNYARD_RUN_ID="r1")

    def start(self, script, **env):
        path = os.path.join(self.folder, "script.py")
        with open(path, "w") as file:
            file.write(textwrap.dedent(script))
        return subprocess.Popen([sys.executable, path], env=dict(self.env, **env), cwd=self.folder,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)

    def run_script(self, script, code=0, **env):
        process = self.start(script, **env)
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            raise
        self.assertEqual(process.returncode, code, err.decode("utf-8", "replace"))
        return out.decode("utf-8"), err.decode("utf-8")

    def files(self):
        """The lines of each journal file, all of them whole."""
        found = []
        for name in sorted(os.listdir(self.journal)):
            with open(os.path.join(self.journal, name), "rb") as file:
                data = file.read()
            self.assertTrue(not data or data.endswith(b"\n"), name)
            lines = [json.loads(line.decode("utf-8")) for line in data.split(b"\n") if line]
            self.assertEqual([line["n"] for line in lines], list(range(1, len(lines) + 1)), name)
            found.append(lines)
        return found

    def points(self):
        """How often each (name, value) was logged, over all files."""
        return collections.Counter((name, value) for lines in self.files() for line in lines
                                   for name, value in line.get("m", {}).items())

    def assert_points(self, expected):
        self.assertEqual(self.points(), collections.Counter({point: 1 for point in expected}))
