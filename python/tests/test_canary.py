"""Whether what a session starts outlives it, and supervisors that the user's systemd starts."""

import os
import signal
import subprocess
import sys
import unittest

from runyard_agent import processes

from .client import SOURCE
from .support import AgentTest, alive, wait_until


def script(folder, name, text):
    """A program for the PATH."""
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, name)
    with open(path, "w") as file:
        file.write("#!/bin/sh\n" + text)
    os.chmod(path, 0o755)


class Canary(AgentTest):

    def test_it_outlives_serve_and_is_ended_by_the_check(self):
        client = self.connect()
        found = client.call("host.canary", {"detach": "process"})
        self.assertEqual(set(found), {"pid", "start", "systemd", "linger"})
        self.assertIn(found["systemd"], (True, False))
        self.assertIn(found["linger"], (True, False, None))
        self.addCleanup(processes.send, found["pid"], found["start"], signal.SIGKILL)
        client.close()
        self.assertNotEqual(os.getsid(found["pid"]), os.getsid(0))
        os.kill(found["pid"], signal.SIGHUP)
        client = self.connect()
        name = {"pid": found["pid"], "start": found["start"]}
        self.assertEqual(client.call("host.canary.check", dict(name, start="another")), {"alive": False})
        self.assertTrue(alive(found["pid"]), "another process with this pid is not ended")
        self.assertEqual(client.call("host.canary.check", name), {"alive": True})
        wait_until(lambda: not alive(found["pid"]), "its end")
        self.assertEqual(client.call("host.canary.check", name), {"alive": False})

    def test_a_host_that_ends_what_a_session_leaves(self):
        client = self.connect()
        found = client.call("host.canary", {"detach": "process"})
        client.close()
        os.kill(found["pid"], signal.SIGTERM)
        wait_until(lambda: not alive(found["pid"]), "its end")
        self.assertEqual(self.connect().call("host.canary.check", {"pid": found["pid"], "start": found["start"]}),
                         {"alive": False})

    def test_without_systemd(self):
        tools = os.path.join(self.folder, "bin")
        os.makedirs(tools)
        client = self.connect(env=dict(os.environ, PATH=tools))
        found = client.call("host.canary", {"detach": "systemd"})
        self.assertEqual((found["systemd"], found["linger"] is not False), (False, True))
        self.assertEqual(client.call("host.canary.check", {"pid": found["pid"], "start": found["start"]}),
                         {"alive": True})

    def test_what_loginctl_says(self):
        tools = os.path.join(self.folder, "bin")
        for text, expected in (("echo Linger=yes", True), ("echo Linger=no", False), ("exit 1", None)):
            script(tools, "loginctl", text + "\n")
            client = self.connect(env=dict(os.environ, PATH=tools))
            found = client.call("host.canary", {"detach": "process"})
            client.call("host.canary.check", {"pid": found["pid"], "start": found["start"]})
            if not os.path.exists("/var/lib/systemd/linger/root"):
                self.assertEqual(found["linger"], expected)

    def test_a_user_manager_that_does_not_answer_holds_nobody_up(self):
        tools = os.path.join(self.folder, "bin")
        script(tools, "systemd-run", "exec sleep 600\n")
        client = self.connect(env=dict(os.environ, PATH=tools + os.pathsep + os.environ["PATH"]))
        asked = client.ask("host.canary", {"detach": "process"})
        for _ in range(20):
            client.call("host.load")
        self.assertNotIn(asked, client._replies)
        found = client.answer(asked)[0]
        self.assertFalse(found["systemd"])
        self.assertTrue(client.call("host.canary.check", {"pid": found["pid"], "start": found["start"]})["alive"])


class Fallback(AgentTest):

    def test_supervisors_are_started_without_systemd_where_it_fails(self):
        tools = os.path.join(self.folder, "bin")
        script(tools, "systemd-run", "exit 1\n")
        client = self.connect(env=dict(os.environ, PATH=tools + os.pathsep + os.environ["PATH"]))
        client.call("host.configure", {"detach": "systemd"})
        view, status = self.run_to_end(client, "print('ran')\n")
        self.assertEqual(status["state"], "Completed")
        with open(self.attempt(view.run).supervisor_log) as file:
            self.assertIn("systemd-run --user does not work here", file.read())

    def test_a_trial_that_works_and_a_start_that_fails(self):
        tools = os.path.join(self.folder, "bin")
        script(tools, "systemd-run", "for word; do last=$word; done\n[ \"$last\" = true ]\n")
        client = self.connect(env=dict(os.environ, PATH=tools + os.pathsep + os.environ["PATH"]))
        client.call("host.configure", {"detach": "systemd"})
        self.assertEqual(self.run_to_end(client, "print('ran')\n")[1]["state"], "Completed")


#: Runs the tests of a class in a place of its own where the user has a systemd: the rest of the machine, whose first
#: process is none, does not see it.
_PLACE = r"""
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system
mkdir -p -m 700 /run/user/0
umount -l /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$RUNYARD_TEST_GROUP"
echo $$ > "/sys/fs/cgroup/$RUNYARD_TEST_GROUP/cgroup.procs"
exec unshare --cgroup sh -c '
umount /sys/fs/cgroup
mount -t cgroup2 none /sys/fs/cgroup
XDG_RUNTIME_DIR=/run/user/0 /lib/systemd/systemd --user </dev/null >/dev/null 2>&1 &
manager=$!
until XDG_RUNTIME_DIR=/run/user/0 systemctl --user is-system-running --quiet 2>/dev/null; do
    kill -0 $manager || exit 77
    sleep 0.05
done
"$@"
result=$?
kill -TERM $manager
wait $manager
exit $result' sh "$@"
"""

_INSIDE = "RUNYARD_TEST_GROUP"


class UserSystemd(unittest.TestCase):

    @unittest.skipUnless(sys.platform.startswith("linux") and os.getuid() == 0 and _INSIDE not in os.environ
                         and os.path.exists("/lib/systemd/systemd"), "needs root and systemd's program")
    def test_with_a_user_manager(self):
        group = "runyard-test-%d" % os.getpid()
        environment = dict(os.environ, **{_INSIDE: group})
        for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"):
            environment.pop(name, None)
        tried = subprocess.Popen(["unshare", "--mount", "sh", "-c", _PLACE, "sh", sys.executable, "-m", "unittest",
                                  "tests.test_canary.InTheUsersSystemd"], cwd=SOURCE, env=environment,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        output = tried.communicate()[0].decode("utf-8", "replace")
        with open("/proc/mounts") as file:
            places = [line.split()[1] for line in file if line.split()[2] == "cgroup2"]
        for folder, _, _ in os.walk(places[0] + "/" + group, topdown=False) if places else ():
            os.rmdir(folder)
        if "Ran " not in output:
            self.skipTest("no systemd can be started for a user here: %s" % output.strip()[-200:])
        self.assertEqual(tried.returncode, 0, output)


class InTheUsersSystemd(AgentTest):

    @staticmethod
    def scope_of(pid):
        with open("/proc/%d/cgroup" % pid) as file:
            return [line.strip() for line in file if line.startswith("0::")][0].rpartition("/")[2]

    def test_the_canary_is_in_a_scope_of_its_own(self):
        client = self.connect()
        for detach in ("process", "systemd"):
            found = client.call("host.canary", {"detach": detach})
            self.assertTrue(found["systemd"])
            self.assertEqual(self.scope_of(found["pid"]).startswith("run-"), detach == "systemd")
            self.assertTrue(client.call("host.canary.check", {"pid": found["pid"], "start": found["start"]})["alive"])

    def test_supervisors_are_in_scopes_and_their_runs_see_nothing_of_it(self):
        client = self.connect()
        client.call("host.configure", {"detach": "systemd", "slots": 1})
        flag = os.path.join(self.folder, "flag")
        text = ("import os, time\nprint(sorted(os.environ), flush=True)\n"
                "while not os.path.exists(%r): time.sleep(0.01)\n" % flag)
        # One through serve; the others are started by the supervisors before them, after serve has gone.
        runs = [self.submit(client, text) for _ in range(4)]
        view = client.watch(runs[0])
        first = view.wait_state("Running")["supervisor"]["pid"]
        view.wait_log(b"PATH")
        self.assertRegex(self.scope_of(first), r"^run-.*\.scope$")
        client.close()
        open(flag, "w").close()
        wait_until(lambda: all(self.status(run)["state"] == "Completed" for run in runs), "four runs")
        client = self.connect()
        for run in runs:
            view = client.watch(run)
            view.wait_end()
            log = view.text("user_logs/std_log.txt").decode("ascii")
            for name in ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "INVOCATION_ID"):
                self.assertNotIn(name, log)
            with open(self.attempt(run).supervisor_log) as file:
                self.assertEqual(file.read(), "")

    def test_one_that_a_supervisor_starts_while_its_own_run_goes_on(self):
        client = self.connect()
        client.call("host.configure", {"detach": "systemd", "slots": 2})
        sleeper = "import time\nprint('on', flush=True)\ntime.sleep(600)\n"
        first = client.watch(self.submit(client, sleeper, grace_seconds=0.2))
        first.wait_log(b"on")
        client.close()
        # Without a serve the next ones are started by the supervisor of the first, as its children.
        from runyard_agent.submit import submit
        from runyard_agent.blobs import BlobStore
        from runyard_agent.waiting_line import WaitingLine
        from runyard_agent.atomic import read_object
        spec = dict(read_object(self.attempt(first.run).spec), run="second")
        job = submit(self.root, BlobStore(self.root), WaitingLine(self.root), {"spec": spec})
        for _ in job:
            pass
        wait_until(lambda: self.status("second")["state"] == "Running", "the second run")
        pid = self.status("second")["supervisor"]["pid"]
        self.assertNotEqual(self.scope_of(pid), self.scope_of(self.status(first.run)["supervisor"]["pid"]))
        client = self.connect()
        client.call("run.cancel", {"run": first.run, "attempt": 1})
        client.watch(first.run).wait_end()
        self.assertTrue(alive(pid), "it is no part of the run whose supervisor has started it")
        view = client.watch("second")
        client.call("run.cancel", {"run": "second", "attempt": 1})
        self.assertEqual(view.wait_end()["state"], "Canceled")


if _INSIDE not in os.environ:
    del InTheUsersSystemd  # UserSystemd runs them
