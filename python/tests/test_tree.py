"""Endings: whatever a script starts is gone when its run has ended."""

import os
import signal
import sys
import textwrap

from .support import AgentTest, alive, pids_in, wait_until

#: A script whose processes try every way of getting away.
ESCAPE = textwrap.dedent("""
    import os, signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sleeper = [sys.executable, '-S', '-c', 'import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)']
    print('self:%d' % os.getpid())
    print('grandchild:%d' % subprocess.Popen(sleeper, preexec_fn=os.setsid).pid)
    def daemon(label, env):
        read, write = os.pipe()
        if os.fork() == 0:
            os.setsid()
            pid = os.fork()
            if pid == 0:
                os.close(read)
                os.write(write, b'%d' % os.getpid())
                os.close(write)
                os.execve(sleeper[0], sleeper, env)
            os._exit(0)
        os.close(write)
        pid = int(os.read(read, 20))
        os.wait()
        print('%s:%d' % (label, pid))
    daemon('daemon', dict(os.environ))
    daemon('bare', {})
    print('ready')
    sys.stdout.flush()
    while True:
        time.sleep(1)
""")

LABELS = ("self", "grandchild", "daemon", "bare")


class Endings(AgentTest):

    def start(self, client, **members):
        view = client.watch(self.submit(client, ESCAPE, **members))
        view.wait_log(b"ready")
        pids = [pid for label in LABELS for pid in pids_in(view, label)]
        self.assertEqual(len(pids), 4)
        self.assertTrue(all(alive(pid) for pid in pids))
        return view, pids

    def test_cancel_ends_the_whole_tree(self):
        client = self.connect()
        view, pids = self.start(client, grace_seconds=0.3)
        run = os.path.dirname(self.status_mark(pids[0]))
        client.call("run.cancel", {"run": run, "attempt": 1, "reason": "No longer needed"})
        status = view.wait_end()
        self.assertEqual((status["state"], status["reason"]), ("Canceled", "No longer needed"))
        self.assertEqual(view.states()[-2:], ["CancelRequested", "Canceled"])
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_cancel_lets_a_script_end_by_itself(self):
        client = self.connect()
        run = self.submit(client, "import signal, sys, time\n"
                                  "def end(*_):\n    print('saved'); sys.exit(0)\n"
                                  "signal.signal(signal.SIGTERM, end)\nprint('ready')\ntime.sleep(300)\n",
                          grace_seconds=30)
        view = client.watch(run)
        view.wait_log(b"ready")
        client.call("run.cancel", {"run": run, "attempt": 1})
        self.assertEqual(view.wait_end()["state"], "Canceled")
        self.assertIn(b"saved", view.text("user_logs/std_log.txt"))

    def test_what_a_script_leaves_behind_is_ended(self):
        client = self.connect()
        script = ESCAPE.split("while True:")[0] + "\nsys.exit(4)\n"
        view, status = self.run_to_end(client, script, grace_seconds=0.2)
        self.assertEqual((status["state"], status["exit_code"]), ("Failed", 4))
        pids = [pid for label in LABELS for pid in pids_in(view, label)]
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_time_limit_ends_the_tree(self):
        client = self.connect()
        view, status = self.run_to_end(client, ESCAPE, grace_seconds=0.2, max_seconds=1.5)
        self.assertEqual(status["error"]["code"], "time_limit")
        pids = [pid for label in LABELS for pid in pids_in(view, label)]
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_a_stopped_script_is_ended(self):
        client = self.connect()
        run = self.submit(client, "import os, signal\nprint('ready')\nos.kill(os.getpid(), signal.SIGSTOP)\n",
                          grace_seconds=5)
        view = client.watch(run)
        view.wait_log(b"ready")
        client.call("run.cancel", {"run": run, "attempt": 1})
        self.assertEqual(view.wait_end()["state"], "Canceled")

    def test_a_killed_supervisor_is_noticed(self):
        client = self.connect()
        view, pids = self.start(client, grace_seconds=0.3)
        self.seen(pids)
        self.kill_supervisor(view)
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "supervisor_lost"))
        self.assertEqual([pid for pid in pids if alive(pid)], [])
        self.assertEqual(view.states()[-1], "Failed")

    def test_a_killed_supervisor_is_noticed_later(self):
        client = self.connect()
        view, pids = self.start(client, grace_seconds=0.3)
        self.seen(pids)
        run = os.path.dirname(self.status_mark(pids[0]))
        supervisor = view.statuses[-1]["supervisor"]
        client.kill()
        os.kill(supervisor["pid"], signal.SIGKILL)
        later = self.connect()
        view = later.watch(run)
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "supervisor_lost"))
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_a_supervisor_told_to_end_takes_everything_along(self):
        client = self.connect()
        view, pids = self.start(client, grace_seconds=0.3)
        os.kill(view.statuses[-1]["supervisor"]["pid"], signal.SIGTERM)
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "signal"))
        self.assertEqual([pid for pid in pids if alive(pid)], [])

    def test_a_restart_of_the_host(self):
        client = self.connect()
        view, pids = self.start(client, grace_seconds=0.2)
        run = os.path.dirname(self.status_mark(pids[0]))
        self.kill_supervisor_quietly(client, view)
        # As after another start of the host: the pids mean other processes now.
        from runyard_agent.atomic import read_json, write_json
        attempt = self.attempt(run)
        status = read_json(attempt.status)
        status["supervisor"]["boot"] = "another"
        write_json(attempt.status, status)
        later = self.connect()
        status = later.watch(run).wait_end()
        self.assertEqual(status["error"]["code"], "host_restarted")
        self.assertTrue(any(alive(pid) for pid in pids))
        for pid in pids:
            if alive(pid):
                os.kill(pid, signal.SIGKILL)

    def kill_supervisor(self, view):
        os.kill(view.statuses[-1]["supervisor"]["pid"], signal.SIGKILL)

    def kill_supervisor_quietly(self, client, view):
        client.kill()
        self.kill_supervisor(view)
        wait_until(lambda: not alive(view.statuses[-1]["supervisor"]["pid"]), "the supervisor to be gone")

    def seen(self, pids):
        """Waits until the supervisor has seen all of them (it looks twice a second)."""
        from runyard_agent.atomic import read_json
        tree = self.attempt(os.path.dirname(self.status_mark(pids[0]))).tree
        wait_until(lambda: set(pids) <= {pid for pid, _ in (read_json(tree) or {}).get("processes", ())},
                   "the process tree in tree.json")

    @staticmethod
    def status_mark(pid):
        with open("/proc/%d/environ" % pid, "rb") as file:
            for word in file.read().split(b"\0"):
                if word.startswith(b"RUNYARD_MARK="):
                    return word.partition(b"=")[2].decode("ascii")
        raise AssertionError("no mark on process %d" % pid)


if not sys.platform.startswith("linux"):
    del Endings  # the scripts of these tests look into /proc
