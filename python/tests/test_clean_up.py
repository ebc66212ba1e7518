"""Clean-up: what was collected goes, what somebody still needs stays."""

import fcntl
import hashlib
import json
import os
import signal
import time

from runyard_agent.atomic import write_json
from runyard_agent.clean_up import CleanUp
from runyard_agent.errors import AgentError
from runyard_agent.layout import prepare_root
from runyard_agent.locks import try_lock
from runyard_agent.waiting_line import WaitingLine

from . import snapshots
from .support import AgentTest, wait_until

DAY = 86400.0


def age(path, days):
    """Makes a file as old as that."""
    moment = time.time() - days * DAY
    os.utime(path, (moment, moment))


class Host(AgentTest):
    """Through the channel, with real runs."""

    def collect(self, client, run, only_here=(), days=0):
        client.call("run.collected", {"run": run, "attempt": 1, "only_here": list(only_here)})
        if days:
            path = self.attempt(run).folder + "/collected.json"
            write_json(path, {"time": int((time.time() - days * DAY) * 1000), "only_here": list(only_here)})

    def blob(self, client, data, days):
        """A blob that was used so many days ago; gives its hash."""
        hash = hashlib.sha256(data).hexdigest()
        snapshots.put(client, hash, data)
        age(self.path_of(hash), days)
        return hash

    def path_of(self, hash):
        return "%s/blobs/%s/%s" % (self.root, hash[:2], hash[2:])

    def has(self, *hashes):
        return [os.path.exists(self.path_of(hash)) for hash in hashes]

    def missing(self, client, *hashes):
        answer = client.answer(client.ask("blobs.missing", {}, "\n".join(hashes).encode("ascii")))
        return answer[1].decode("ascii").split()

    def runs(self):
        return sorted(os.listdir(self.root + "/runs"))

    def test_what_goes_by_its_age(self):
        client = self.connect()
        client.call("host.configure", {"slots": 4})
        old, young, kept, uncollected = [self.run_to_end(
            client, "import os\nos.makedirs('outputs')\nopen('outputs/x', 'w').write('x' * 100000)\n")[0].run
            for _ in range(4)]
        living = client.watch(self.submit(client, "import time\nprint('on', flush=True)\ntime.sleep(600)\n"))
        living.wait_log(b"on")
        self.collect(client, old, days=15)
        self.collect(client, young, days=13)
        self.collect(client, kept, ["outputs/x"], days=100)
        # A script that says so itself: only what has ended can have been collected.
        write_json(self.attempt(living.run).folder + "/collected.json", {"time": 1, "only_here": []})
        gone = client.call("host.clean")
        self.assertEqual((gone["runs"], gone["blobs"]), (1, 0))
        self.assertGreater(gone["bytes"], 100000)
        self.assertEqual(self.runs(), sorted([young, kept, uncollected, living.run]))
        self.assertEqual(client.call("host.clean"), {"runs": 0, "blobs": 0, "environments": 0, "bytes": 0})
        client.call("host.configure", {"keep": {"days": 0}})
        self.assertEqual(client.call("host.clean")["runs"], 1)
        self.assertEqual(self.runs(), sorted([kept, uncollected, living.run]))
        client.call("host.configure", {"keep": {"bytes": 0}})
        self.assertEqual(client.call("host.clean")["runs"], 0)
        # What was only there has been fetched: it goes like the others.
        self.collect(client, kept)
        self.assertEqual(client.call("host.clean")["runs"], 1)
        self.assertEqual(self.runs(), sorted([uncollected, living.run]))
        client.call("run.cancel", {"run": living.run, "attempt": 1})
        living.wait_end()

    def test_a_run_goes_with_all_of_its_attempts_or_not_at_all(self):
        client = self.connect()
        view, _ = self.run_to_end(client, "print(1)")
        with open(self.attempt(view.run).spec) as file:
            spec = json.load(file)
        client.call("run.submit", {"spec": dict(spec, attempt=2)})
        client.watch(view.run, 2).wait_end()
        client.call("host.configure", {"keep": {"days": 0}})
        for number, runs in ((1, 0), (2, 1)):
            client.call("run.collected", {"run": view.run, "attempt": number, "only_here": []})
            self.assertEqual(client.call("host.clean")["runs"], runs)

    def test_the_oldest_go_first_where_there_is_too_much(self):
        client = self.connect()
        script = "import os\nos.makedirs('outputs')\nopen('outputs/x', 'w').write('x' * 300000)\n"
        runs = [self.run_to_end(client, script)[0].run for _ in range(4)]
        for run, days in zip(runs, (3, 9, 1, 5)):
            self.collect(client, run, days=days)
        blobs = [self.blob(client, b"%d" % index * 300000, days) for index, days in enumerate((4, 8, 2, 0))]
        whole = self.size()
        # By their last use: run 1 (9), blob 1 (8), run 3 (5), blob 0 (4), run 0 (3), blob 2 (2), run 2 (1).
        client.call("host.configure", {"keep": {"bytes": whole - 500000}})
        gone = client.call("host.clean")
        self.assertEqual((gone["runs"], gone["blobs"]), (1, 1))
        self.assertEqual(self.runs(), sorted([runs[0], runs[2], runs[3]]))
        self.assertEqual(self.has(*blobs), [True, False, True, True])
        self.assertAlmostEqual(whole - self.size(), gone["bytes"], delta=20000)
        client.call("host.configure", {"keep": {"bytes": self.size() - 1100000}})
        gone = client.call("host.clean")
        self.assertEqual((gone["runs"], gone["blobs"]), (2, 2))
        self.assertEqual((self.runs(), self.has(*blobs)), ([runs[2]], [False, False, False, True]))
        # What was asked for within a day stays, and so does the snapshot of what was just submitted.
        client.call("host.configure", {"keep": {"bytes": 0, "days": 0}})
        gone = client.call("host.clean")
        self.assertEqual((gone["runs"], gone["blobs"]), (1, 0))
        self.assertEqual(self.has(blobs[3]), [True])

    def size(self):
        """Bytes that run folders and blobs take on the disk."""
        total = 0
        for place in ("runs", "blobs"):
            for parent, folders, names in os.walk(os.path.join(self.root, place)):
                total += sum(os.lstat(os.path.join(parent, name)).st_blocks * 512 for name in folders + names
                             if place == "runs" or name not in folders)
        return total

    def test_a_use_keeps_a_blob(self):
        client = self.connect()
        unused, asked, sent, young = [self.blob(client, b"blob %d" % index, days)
                                      for index, days in enumerate((20, 20, 20, 13))]
        self.assertEqual(self.missing(client, asked, "0" * 64), ["0" * 64])
        self.assertLess(time.time() - os.stat(self.path_of(asked)).st_mtime, 3600)
        snapshots.put(client, sent, b"blob 2")
        gone = client.call("host.clean")
        self.assertEqual((gone["runs"], gone["blobs"]), (0, 1))
        self.assertEqual(self.has(unused, asked, sent, young), [False, True, True, True])
        self.assertEqual(self.missing(client, unused), [unused])
        self.assertEqual(os.listdir(self.root + "/blobs/tmp"), [])

    def test_the_blobs_of_what_waits_stay_whatever_their_age(self):
        client = self.connect()
        client.call("host.configure", {"slots": 1, "keep": {"days": 0, "bytes": 0}})
        flag = os.path.join(self.folder, "flag")
        running = client.watch(self.submit(client, "import os, time\nprint('on', flush=True)\n"
                                                   "while not os.path.exists(%r): time.sleep(0.01)\n" % flag))
        running.wait_log(b"on")
        # Names that are in the way of a search for hashes, and enough files for several pieces of the manifest.
        files = {"%04d %s" % (index, "\"hash\":\"" * 20): "file %d" % index for index in range(700)}
        waiting = client.watch(self.submit(client, "import os; print(len(os.listdir('.')))", files=files))
        client.wait(lambda: waiting.state == "Queued", "a place in line")
        spare = self.blob(client, b"spare", 30)
        for parent, _, names in os.walk(self.root + "/blobs"):
            for name in names:
                age(os.path.join(parent, name), 30)
        before = client.call("host.clean")["blobs"]
        self.assertEqual((before, self.has(spare)), (1, [False]))
        open(flag, "w").close()
        self.assertEqual(waiting.wait_end()["state"], "Completed")
        self.assertEqual(waiting.text("user_logs/std_log.txt"), b"701\n")

    def test_one_at_a_time_and_a_kill_on_the_way(self):
        client, other = self.connect(), self.connect()
        client.call("host.configure", {"keep": {"days": 0}})
        runs = [self.run_to_end(client, "import os\nos.makedirs('outputs')\n"
                                        "for i in range(500): open('outputs/%d' % i, 'w').close()\n")[0].run
                for _ in range(3)]
        for run in runs:
            self.collect(client, run)
        lock = try_lock(self.root + "/queue/clean-up.lock")
        asked = [each.ask("host.clean") for each in (client, other)]
        client.call("host.load")
        self.assertEqual(self.runs(), sorted(runs))
        os.kill(other.process.pid, signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_UN)
        os.close(lock)
        self.assertEqual(client.answer(asked[0])[0]["runs"], 3)
        self.assertEqual(self.runs(), [])
        # Killed in the middle: the next serve removes what it finds set apart.
        run = self.run_to_end(client, "import os\nos.makedirs('outputs')\n"
                                      "for i in range(3000): open('outputs/%d' % i, 'w').close()\n")[0].run
        self.collect(client, run)
        client.ask("host.clean")
        wait_until(lambda: self.runs() != [run], "the folder to be set apart")
        client.kill()
        later = self.connect()
        wait_until(lambda: self.runs() == [], "the rest to go")
        self.assertEqual(later.call("host.clean")["runs"], 0)


class Folders(AgentTest):
    """Many runs that are only folders, cleaned in this very process."""

    copies_agent = False

    def setUp(self):
        AgentTest.setUp(self)
        prepare_root(self.root)
        self.line = WaitingLine(self.root)
        self.clean_up = CleanUp(self.root, self.line)

    def make(self, run, days, only_here=(), state="Completed", files=3):
        attempt = self.attempt(run)
        os.makedirs(attempt.code + "/outputs")
        for index in range(files):
            with open("%s/outputs/%d" % (attempt.code, index), "w") as file:
                file.write("x" * 5000)
        write_json(attempt.spec, {"manifest": "0" * 64})
        write_json(attempt.status, {"state": state, "heartbeat": 1})
        open(attempt.lock, "w").close()
        if days is not None:
            write_json(attempt.collected, {"time": int((time.time() - days * DAY) * 1000),
                                           "only_here": list(only_here)})
        return attempt

    def clean(self, **keep):
        if keep:
            self.line.configure({"keep": keep})
        job = self.clean_up.now()
        try:
            while True:
                next(job)
        except StopIteration as end:
            return end.value

    def runs(self):
        return sorted(os.listdir(self.root + "/runs"))

    def test_what_stays_whatever_is_asked(self):
        for run, days, members in (("uncollected", None, {}), ("only-here", 99, {"only_here": ["x"]}),
                                   ("living", 99, {"state": "Running"}), ("unknown", 99, {"state": "Odd"}),
                                   ("held", 99, {}), ("growing", 99, {}), ("odd1", 99, {}), ("odd2", 99, {}),
                                   ("odd3", 99, {}), ("long", 99, {"only_here": ["p" * 10000]}), ("goes", 99, {})):
            self.make(run, days, **members)
        lock = try_lock(self.attempt("held").lock)
        self.addCleanup(os.close, lock)
        os.mkdir(os.path.dirname(self.attempt("growing").folder) + "/.new-2-%d" % os.getpid())
        for run, text in (("odd1", '{"time": 1e999, "only_here": []}'), ("odd2", '[5]'),
                          ("odd3", '{"time": 5, "only_here": {}}')):
            with open(self.attempt(run).collected, "w") as file:
                file.write(text)
        # Names of attempts that are none, and a size that is none.
        for name in (u"\u00b2", "007", "9" * 40, "x"):
            os.mkdir(os.path.dirname(self.attempt("goes").folder) + "/" + name)
        with open(self.root + "/runs/living/size.json", "w") as file:
            file.write('{"stamp": [], "bytes": -5}')
        self.assertEqual(self.clean(days=0, bytes=0)["runs"], 1)
        self.assertEqual(self.runs(), sorted(["uncollected", "only-here", "living", "unknown", "held", "growing", "odd1",
                                              "odd2", "odd3", "long"]))

    def test_one_that_changes_meanwhile_stays(self):
        for run in ("a", "b"):
            self.make(run, 99, files=150)
        job = self.clean_up.now()
        self.line.configure({"keep": {"days": 0}})
        changed = None
        for _ in job:
            # The first has just gone; the server says of the other that something is only here after all.
            left = [name for name in self.runs() if not name.startswith(".")]
            if len(left) == 1 and changed is None:
                changed = left[0]
                write_json(self.attempt(changed).collected, {"time": 5, "only_here": ["outputs/0"]})
        self.assertEqual(self.runs(), [changed])

    def test_sizes_are_remembered(self):
        attempt = self.make("a", 1)
        self.clean()
        with open(self.root + "/runs/a/size.json") as file:
            known = json.load(file)
        self.assertGreaterEqual(known["bytes"], 3 * 5000)
        with open(attempt.code + "/outputs/more", "wb") as file:
            file.write(b"x" * 1000000)
        self.clean()
        with open(self.root + "/runs/a/size.json") as file:
            self.assertEqual(json.load(file)["bytes"], known["bytes"], "what has ended is not walked again")
        # With the next attempt it is.
        write_json(attempt.status, {"state": "Failed", "heartbeat": 2})
        self.clean()
        with open(self.root + "/runs/a/size.json") as file:
            self.assertGreater(json.load(file)["bytes"], known["bytes"] + 900000)

    def test_another_clean_up_under_way(self):
        from runyard_agent import clean_up
        self.make("a", 99)
        lock = try_lock(self.root + "/queue/clean-up.lock")
        patience, clean_up._PATIENCE = clean_up._PATIENCE, 0.0
        try:
            with self.assertRaises(AgentError) as caught:
                self.clean()
        finally:
            clean_up._PATIENCE = patience
        self.assertEqual(caught.exception.code, "conflict")
        os.close(lock)
        self.assertEqual(self.clean()["runs"], 1)

    def test_many_runs_are_many_turns(self):
        for index in range(20):
            self.make("run-%d" % index, 99 if index % 2 else 1, files=205 if index < 4 else 2)
        os.makedirs(self.root + "/blobs/ab")
        for index in range(300):
            path = "%s/blobs/ab/%062x" % (self.root, index)
            open(path, "w").close()
            age(path, 20 if index % 2 else 2)
        turns = 0
        job = self.clean_up.now()
        while True:
            try:
                next(job)
                turns += 1
            except StopIteration as end:
                self.assertEqual((end.value["runs"], end.value["blobs"]), (10, 150))
                break
        # One for each run, one for 200 of its files, one for each that goes and two for its files, one for 50 blobs.
        self.assertGreaterEqual(turns, 20 + 4 + 10 + 2 * 2 + 300 // 50)

    def test_removal_of_what_is_deep_wide_and_closed(self):
        from runyard_agent.removal import remove
        place = os.path.join(self.folder, "place")
        os.makedirs(place + "/wide")
        for index in range(1100):
            os.mkdir("%s/wide/%d" % (place, index))
        for index in range(300):
            open("%s/%d" % (place, index), "w").close()
        os.mkdir(place + "/closed")
        open(place + "/closed/file", "w").close()
        os.chmod(place + "/closed", 0)
        os.symlink(self.root, place + "/link")
        here = os.getcwd()
        os.chdir(place)
        try:
            for _ in range(60):
                os.mkdir("d" * 200)
                os.mkdir("e" * 200)
                open("file", "w").close()
                os.chdir("d" * 200)
        finally:
            os.chdir(here)
        for _ in remove(place):
            pass
        self.assertEqual(sorted(os.listdir(self.folder)), ["root"])
        self.assertTrue(os.path.isdir(self.root + "/runs"))
