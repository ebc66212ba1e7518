"""Looking at processes, by /proc and by `ps`."""

import os
import subprocess
import sys
import unittest

from runyard_agent import processes, processes_ps
from runyard_agent.process import Process
from runyard_agent.tool import find, output_of

#: Of this run of the tests alone: another may go on at the same time, under another Python.
MARK = "looking-%d" % os.getpid()

#: What macOS prints.
MACOS = """  501     1   501      0 Ss     1234   0:01.50 Thu Nov 20 10:00:00 2025 /sbin/launchd
  900   501   900      0 S+    20480 1-02:03:04 Thu Nov 20 11:22:33 2025 /opt/my app/python3
junk
"""


def a_process(pid, parent, session=0, state="S"):
    return Process(pid, parent, session, session, state, pid * 10, 0, 0, "p%d" % pid)


class Looking(unittest.TestCase):

    def setUp(self):
        self.child = subprocess.Popen([sys.executable, "-S", "-c", "import sys; sys.stdin.read()"],
                                      stdin=subprocess.PIPE, env=dict(os.environ, RUNYARD_MARK=MARK + "/1"))
        self.addCleanup(self.end)

    def end(self):
        self.child.stdin.close()
        self.child.wait()

    def test_a_child(self):
        seen = processes.look(self.child.pid)
        self.assertEqual((seen.pid, seen.parent, seen.dead), (self.child.pid, os.getpid(), False))
        self.assertGreater(processes.look(os.getpid()).rss, 0)
        self.assertTrue(processes.is_alive(self.child.pid, seen.start))
        self.assertFalse(processes.is_alive(self.child.pid, -1))
        self.assertIn(self.child.pid, processes.descendants(os.getpid()))
        self.assertNotIn(self.child.pid, processes.descendants(os.getpid(), [self.child.pid]))

    @unittest.skipUnless(sys.platform.startswith("linux"), "by /proc")
    def test_the_mark(self):
        while not processes.marked(MARK + "/1"):
            pass  # between fork and exec the child still has its parent's environment
        self.assertEqual(list(processes.marked(MARK + "/1")), [self.child.pid])
        self.assertEqual(processes.marked(MARK + "/2"), {})

    @unittest.skipUnless(find("ps"), "there is no ps")
    def test_by_ps(self):
        seen = processes_ps.look(self.child.pid)
        self.assertEqual((seen.pid, seen.parent), (self.child.pid, os.getpid()))
        self.assertEqual(processes_ps.look(self.child.pid).start, seen.start)
        self.assertEqual(list(processes_ps.descendants(os.getpid())), [self.child.pid])

    def test_what_macos_prints(self):
        found = processes_ps._parse(MACOS)
        self.assertEqual(sorted(found), [501, 900])
        self.assertEqual(found[501].ticks, 150)
        self.assertEqual(found[900].ticks, (26 * 3600 + 3 * 60 + 4) * 100)
        self.assertEqual((found[900].start, found[900].rss, found[900].name),
                         ("Thu Nov 20 11:22:33 2025", 20480 * 1024, "/opt/my app/python3"))

    def test_closure(self):
        table = {p.pid: p for p in (a_process(1, 0), a_process(5, 1, 5), a_process(6, 5, 5), a_process(7, 1, 5),
                                    a_process(8, 1, 8), a_process(9, 6, 9, "Z"))}
        self.assertEqual(sorted(processes.closure([5], table)), [5, 6])
        self.assertEqual(sorted(processes.closure([6], table, [5])), [5, 6, 7])

    def test_tools(self):
        self.assertEqual(output_of(["sh", "-c", "echo out; echo err >&2"], 10), "out\n")
        self.assertIsNone(output_of(["sh", "-c", "exit 3"], 10))
        self.assertIsNone(output_of(["no-such-tool"], 10))
        self.assertIsNone(output_of(["sleep", "100"], 0.2))
