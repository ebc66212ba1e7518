"""The host's queue: order, slots, leases, kills."""

import json
import os
import signal
import sys
import time

from runyard_agent.layout import prepare_root
from runyard_agent.locks import is_held, open_lock, try_lock
from runyard_agent.waiting_line import WaitingLine

from . import snapshots
from .support import AgentTest, alive, wait_until


class Line(AgentTest):
    """The queue's files alone, with the locks that supervisors would hold."""

    copies_agent = False

    def setUp(self):
        AgentTest.setUp(self)
        prepare_root(self.root)
        self.line = WaitingLine(self.root)
        self.line.configure({"slots": 2})

    def add(self, run, slots=1, gpus=0):
        attempt = self.attempt(run)
        os.makedirs(attempt.folder)
        with open(attempt.spec, "w") as file:
            file.write("{}")
        with self.line.locked():
            seq = self.line.add(run, 1, slots, gpus, ["x", "y"])
        return seq, os.open(attempt.lock, os.O_CREAT | os.O_RDWR)

    def hold(self, fd):
        import fcntl
        fcntl.flock(fd, fcntl.LOCK_EX)
        self.addCleanup(lambda: os.close(fd))

    def test_order_and_slots(self):
        entries = [self.add("r%d" % index, slots) for index, slots in enumerate((1, 2, 1))]
        for _, fd in entries:
            self.hold(fd)
        first, big, last = [seq for seq, _ in entries]
        self.assertIsNone(self.line.acquire(last))
        self.assertEqual(self.line.place(last), {"queue": {"position": 3, "ahead": 2, "slots": 2},
                                                 "reason": "Waiting for one of 2 slots (2 ahead)"})
        self.assertEqual(self.line.acquire(first), [])
        self.assertIsNone(self.line.acquire(big))
        self.assertIsNone(self.line.acquire(last), "the first in line is never overtaken")
        self.assertEqual(self.line.counts(), (1, 2))
        self.line.withdraw(first)
        self.assertEqual(self.line.acquire(big), [])
        self.assertIsNone(self.line.acquire(last))

    def test_a_slot_of_a_dead_supervisor_is_free(self):
        (first, fd), (second, fd2) = self.add("a", 2), self.add("b", 2)
        import fcntl
        fcntl.flock(fd, fcntl.LOCK_EX)
        self.hold(fd2)
        self.assertEqual(self.line.acquire(first), [])
        self.assertIsNone(self.line.acquire(second))
        os.close(fd)
        self.assertEqual(self.line.acquire(second), [])

    def test_more_slots_than_the_host_has_means_alone(self):
        seq, fd = self.add("a", 50)
        self.hold(fd)
        self.assertEqual(self.line.acquire(seq), [])

    def reason(self, seq):
        return self.line.place(seq).get("reason")

    def test_what_waits_says_for_what(self):
        entries = [self.add("r%d" % index, slots) for index, slots in enumerate((1, 1, 1, 2, 1))]
        for _, fd in entries:
            self.hold(fd)
        seqs = [seq for seq, _ in entries]
        self.assertIsNone(self.reason(seqs[0]), "it is about to start")
        self.assertEqual(self.line.acquire(seqs[0]), [])
        self.assertEqual(self.line.acquire(seqs[1]), [])
        self.assertEqual(self.reason(seqs[2]), "Waiting for one of 2 slots")
        self.assertEqual(self.reason(seqs[3]), "Waiting for all 2 slots (1 ahead)")
        self.assertEqual(self.reason(seqs[4]), "Waiting for one of 2 slots (2 ahead)")
        self.line.withdraw(seqs[2])
        self.assertEqual(self.reason(seqs[3]), "Waiting for all 2 slots: 2 are in use")
        self.line.configure({"slots": 1})
        self.assertEqual(self.reason(seqs[3]), "Waiting for the only slot")
        self.assertEqual(self.reason(seqs[4]), "Waiting for the only slot (1 ahead)")
        self.line.configure({"slots": 4})
        self.assertIsNone(self.reason(seqs[3]))

    def test_who_waits_behind_gpus_is_told(self):
        from runyard_agent.waiting_for import sentence, shortage
        one, none, both = {"slots": 1, "gpus": 1}, {"slots": 1, "gpus": 0}, {"slots": 1, "gpus": 2}
        running = [{"slots": 1, "gpus": 1, "leased": [0]}, {"slots": 1, "gpus": 1, "leased": [1]}]
        missing = shortage(one, 4, running, 2)
        self.assertEqual(sentence(one, 0, 4, 2, one, missing), "Waiting for 1 GPU: 2 of 2 are in use")
        self.assertEqual(sentence(none, 1, 4, 2, one, missing),
                         "Waiting in line (1 ahead, the first of them for 1 GPU: 2 of 2 are in use)")
        self.assertEqual(sentence(both, 3, 4, 2, one, missing), "Waiting for 2 of 2 GPUs (3 ahead)")
        missing = shortage(both, 4, running[:1], 2)
        self.assertEqual(sentence(both, 0, 4, 2, both, missing), "Waiting for 2 GPUs: 1 of 2 is in use")
        # As many slots as GPUs, all in use: the GPU is what is seldom.
        self.assertEqual(shortage(one, 2, running, 2), "1 GPU: 2 of 2 are in use")
        self.assertEqual(shortage(one, 4, [], 0), "1 GPU: the host shows 0 now")
        self.assertIsNone(shortage(one, 4, running[:1], 2))

    def test_settings_are_kept_member_by_member(self):
        from runyard_agent import config
        path = self.root + "/queue/config.json"
        with open(path, "w") as file:
            file.write('{"slots": 2, "later": [1]}')
        self.line.configure(config.check({"detach": "systemd", "keep": {"days": 0.5}}))
        self.assertEqual((self.line.slots(), config.detach(self.root)), (2, "systemd"))
        self.assertEqual(config.keep(self.root), (0.5, 50000000000))
        self.line.configure(config.check({"keep": {"bytes": 7}, "slots": None}))
        self.assertEqual(config.keep(self.root), (0.5, 7))
        self.assertGreaterEqual(self.line.slots(), 1)
        with open(path) as file:
            self.assertEqual(json.load(file), {"slots": None, "later": [1], "detach": "systemd",
                                               "keep": {"days": 0.5, "bytes": 7}})
        for text in ("", "[]", '{"slots": true, "detach": 3, "keep": {"days": "x"}}'):
            with open(path, "w") as file:
                file.write(text)
            self.assertGreaterEqual(self.line.slots(), 1)
            self.assertEqual((config.detach(self.root), config.keep(self.root)), ("process", (14, 50000000000)))

    def test_only_two_wait(self):
        for index in range(5):
            os.close(self.add("r%d" % index)[1])
        started = self.line.waiters_to_start()
        self.assertEqual([attempt.run for attempt, _, _, _ in started], ["r0", "r1"])
        self.assertEqual(self.line.waiters_to_start(), [])
        for _, _, _, fd in started:
            os.close(fd)

    def test_a_ticket_without_a_run_is_cleared(self):
        with self.line.locked():
            self.line.add("gone", 1, 1, 0, ["x", "y"])
        os.close(self.add("there")[1])
        started = self.line.waiters_to_start()
        self.assertEqual([attempt.run for attempt, _, _, _ in started], ["there"])
        for _, _, _, fd in started:
            os.close(fd)
        self.assertEqual(len(os.listdir(self.root + "/queue/tickets")), 1)

    def test_locks(self):
        path = os.path.join(self.folder, "lock")
        fd = try_lock(path)
        self.assertTrue(is_held(path))
        self.assertIsNone(try_lock(path))
        os.close(fd)
        self.assertFalse(is_held(path))
        other = open_lock(path)
        self.assertFalse(is_held(path))
        os.close(other)


#: Writes down when it ran, and beside whom.
TIMED = ("import os, sys, time\n"
         "place = sys.argv[1]\n"
         "mine = os.path.join(place, 'on-' + os.environ['RUNYARD_RUN_ID'])\n"
         "open(mine, 'w').close()\n"
         "beside = len([n for n in os.listdir(place) if n.startswith('on-')])\n"
         "with open(os.path.join(place, 'order'), 'a') as f:\n"
         "    f.write('%s %d\\n' % (os.environ['RUNYARD_RUN_ID'], beside))\n"
         "time.sleep(float(sys.argv[2]))\n"
         "os.unlink(mine)\n")


class OnTheHost(AgentTest):

    def submit_many(self, client, count, seconds, **members):
        self.place = os.path.join(self.folder, "place")
        os.makedirs(self.place)
        manifest = snapshots.send(client, {"main.py": TIMED})
        runs = []
        for _ in range(count):
            spec = snapshots.spec_of(manifest, command=[sys.executable, "-S", "main.py", self.place, str(seconds)],
                                     **members)
            client.call("run.submit", {"spec": spec, "environment": {"PATH": os.environ["PATH"]}})
            runs.append(spec["run"])
        return runs

    def order(self):
        with open(os.path.join(self.place, "order")) as file:
            return [line.split() for line in file]

    def test_twenty_finish_in_order_after_serve_was_killed(self):
        client = self.connect()
        client.call("host.configure", {"slots": 2})
        runs = self.submit_many(client, 20, 0.05)
        client.kill()
        wait_until(lambda: all(self.status(run)["state"] == "Completed" for run in runs), "twenty runs")
        order = self.order()
        # Two run side by side, so neighbours may write in either order.
        self.assertEqual(sorted(run for run, _ in order), sorted(runs))
        self.assertTrue(all(abs(runs.index(run) - index) <= 2 for index, (run, _) in enumerate(order)))
        self.assertLessEqual(max(int(beside) for _, beside in order), 2)
        # The last supervisor lets go after it has written its end.
        wait_until(lambda: os.listdir(self.root + "/queue/slots") == [], "all slots to be free")

    def test_killed_waiters_are_replaced(self):
        client = self.connect()
        client.call("host.configure", {"slots": 1})
        runs = self.submit_many(client, 6, 0.4)
        killed = 0
        for _ in range(200):
            waiting = [status["supervisor"] for status in map(self.status, runs)
                       if status["state"] == "Queued" and status["supervisor"]]
            if waiting and alive(waiting[-1]["pid"]):
                os.kill(waiting[-1]["pid"], signal.SIGKILL)
                killed += 1
                if killed == 3:
                    break
            time.sleep(0.05)
        self.assertGreaterEqual(killed, 1)
        wait_until(lambda: all(self.status(run)["state"] in ("Completed", "Failed") for run in runs), "six runs")
        # One killed at the very moment in which it took its slot has failed, and says why; the others ran.
        for run in runs:
            status = self.status(run)
            self.assertTrue(status["state"] == "Completed" or status["error"]["code"] == "supervisor_lost", status)
        order = [run for run, _ in self.order()]
        self.assertEqual(order, [run for run in runs if run in order])
        self.assertEqual(max(int(beside) for _, beside in self.order()), 1)

    def test_cancel_in_line_with_and_without_a_supervisor(self):
        client = self.connect()
        client.call("host.configure", {"slots": 1})
        runs = self.submit_many(client, 5, 30, grace_seconds=0.1)
        views = [client.watch(run) for run in runs]
        views[0].wait_state("Running")
        client.wait(lambda: views[1].statuses[-1]["supervisor"] is not None, "a supervisor that waits")
        client.wait(lambda: (views[4].statuses[-1]["queue"] or {}).get("position") == 4, "a place in line")
        self.assertEqual(views[4].statuses[-1]["reason"], "Waiting for the only slot (3 ahead)")
        status = client.call("run.status", {"run": runs[1], "attempt": 1})["status"]
        self.assertEqual(status["reason"], "Waiting for the only slot")
        load = client.call("host.load")
        self.assertEqual((load["running"], load["queued"], load["slots"]), (1, 4, 1))
        for run in reversed(runs):
            client.call("run.cancel", {"run": run, "attempt": 1, "reason": "tests"})
        for view in views:
            self.assertEqual(view.wait_end()["state"], "Canceled")
        self.assertEqual(views[4].states(), ["Queued", "Canceled"])
        self.assertEqual(os.listdir(self.root + "/queue/tickets"), [])

    def test_gpus_are_leased(self):
        tools = os.path.join(self.folder, "bin")
        os.makedirs(tools)
        with open(os.path.join(tools, "nvidia-smi"), "w") as file:
            file.write("#!/bin/sh\ncase \"$1\" in *memory.used*) "
                       "echo '0, 50, 100, 1000'; echo '1, 7, 200, 1000';; "
                       "*) echo '0, Test GPU, 1000'; echo '1, Test GPU, 1000';; esac\n")
        os.chmod(os.path.join(tools, "nvidia-smi"), 0o755)
        env = dict(os.environ, PATH=tools + os.pathsep + os.environ["PATH"])
        client = self.connect(env=env)
        facts = client.call("hello", {"protocol": 1})["facts"]
        self.assertEqual([gpu["index"] for gpu in facts["gpus"]], [0, 1])
        load = client.call("host.load")
        self.assertEqual(load["slots"], 2)
        self.assertEqual(load["gpus"][0]["utilisation"], 0.5)
        flag = os.path.join(self.folder, "flag")
        script = ("import os, time\nprint(os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True)\n"
                  "while not os.path.exists(%r): time.sleep(0.01)\n" % flag)
        views = [client.watch(self.submit(client, script, resources={"slots": 1, "gpus": 1})) for _ in range(2)]
        both = self.submit(client, script, resources={"slots": 1, "gpus": 2})
        for view in views:
            view.wait_state("Running")
        status = client.call("run.status", {"run": both, "attempt": 1})["status"]
        self.assertEqual(status["reason"], "Waiting for 2 GPUs: 2 of 2 are in use")
        seen = set()
        for view in views:
            client.wait(lambda: b'"utilisation":0.5' in view.text("monitor.jsonl"), "the GPUs' load")
        open(flag, "w").close()
        for view in views:
            status = view.wait_end()
            self.assertEqual(status["state"], "Completed")
            seen.add(view.text("user_logs/std_log.txt").strip())
        self.assertEqual(seen, {b"0", b"1"})
        view = client.watch(both)
        status = view.wait_end()
        self.assertEqual(view.text("user_logs/std_log.txt").strip(), b"0,1")
        self.assertEqual(status["gpus"], [0, 1])
