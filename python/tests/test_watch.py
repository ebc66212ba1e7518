"""Watches: credit, fairness, resuming, and logs of every kind."""

import hashlib
import json
import os

from runyard_agent import processes
from runyard_agent.frames import encode

from .client import Refused
from .support import AgentTest, wait_until


class Watches(AgentTest):

    def test_credit_stops_and_resumes(self):
        client = self.connect(auto_credit=False)
        size = 9 << 20
        run = self.submit(client, "import sys\nfor i in range(9): sys.stdout.write('x' * (1 << 20))\n")
        view = client.watch(run)
        view.wait_state("Completed")
        client.wait(lambda: self.credit_used(view) == 4 << 20, "the window to be used up")
        client.call("host.load")
        self.assertEqual(self.credit_used(view), 4 << 20)
        other = client.watch(run)
        client.wait(lambda: self.credit_used(other) == 4 << 20, "the other watch is not held up")
        while view.end is None:
            used = self.credit_used(view)
            client.send({"watch": view.number, "credit": 1 << 20})
            client.wait(lambda: self.credit_used(view) > used or view.end is not None, "more data")
        self.assertEqual(view.text("user_logs/std_log.txt"), b"x" * size)
        self.assertEqual(view.problems, [])
        client.call("watch.stop", {"watch": other.number})

    @staticmethod
    def credit_used(view):
        return sum(length for _, _, _, length in view.frames)

    def test_nothing_twice_and_no_gap_over_many_channels(self):
        client = self.connect()
        run = self.submit(client, "import runyard, time\n"
                                  "for i in range(3000):\n"
                                  "    runyard.log('x', i, step=i)\n"
                                  "    print('line', i)\n"
                                  "    time.sleep(0.0005)\n")
        stored = {}
        for _ in range(5):
            view = client.watch(run, stored=stored)
            size = len(view.text("user_logs/std_log.txt"))
            client.wait(lambda: len(view.text("user_logs/std_log.txt")) > size or view.end, "more of the log")
            client.kill()
            self.assertEqual(view.problems, [])
            stored = view.files
            client = self.connect()
        view = client.watch(run, stored=stored)
        view.wait_end()
        self.assertEqual(view.problems, [])
        self.assertEqual(view.text("user_logs/std_log.txt"), b"".join(b"line %d\n" % i for i in range(3000)))
        name, = [name for name in view.files if name.startswith("journal/")]
        steps = [json.loads(line)["s"] for line in view.text(name).splitlines()]
        self.assertEqual(steps, list(range(3000)))

    def test_a_line_of_20_mb_and_invalid_utf8(self):
        client = self.connect()
        view, status = self.run_to_end(client, "import sys\nout = sys.stdout.buffer\n"
                                               "out.write(b'\\xff\\xfe\\x00 caf\\xe9\\n')\n"
                                               "out.write(b'z' * 20000000)\nout.flush()\nraise SystemExit(3)\n")
        self.assertEqual(view.text("user_logs/std_log.txt"), b"\xff\xfe\x00 caf\xe9\n" + b"z" * 20000000)
        self.assertLessEqual(len(status["error"]["tail"].encode("utf-8")), 8192)
        self.assertEqual(status["error"]["message"], "The script failed with exit code 3.")

    def test_garbage_in_the_journal_folder(self):
        client = self.connect()
        view, status = self.run_to_end(client, (
            "import os\nfolder = os.environ['RUNYARD_JOURNAL'] + '/'\n"
            "os.mkfifo(folder + 'pipe.jsonl')\nos.symlink('/etc/passwd', folder + 'link.jsonl')\n"
            "os.mkdir(folder + 'folder.jsonl')\nopen(folder + 'other.txt', 'w').write('no')\n"
            "open(folder + 'good.jsonl', 'wb').write(b'garbage \\xff\\n{\"n\":1}\\nhalf')\n"
            "open(folder.encode() + b'\\xff.jsonl', 'w').write('{}\\n')\n"))
        self.assertEqual(status["state"], "Completed")
        self.assertEqual(view.text("journal/good.jsonl"), b"garbage \xff\n{\"n\":1}\nhalf")
        self.assertEqual(len([name for name in view.files if name.startswith("journal/")]), 2)

    def test_names_that_are_no_text_stay_apart(self):
        client = self.connect()
        run = self.submit(client, (
            "import os\nos.makedirs('outputs')\n"
            "for name in (b'\\xff', b'\\xfe'):\n"
            "    open(b'outputs/' + name, 'wb').write(name)\n"
            "    with open(os.environ['RUNYARD_JOURNAL'].encode() + b'/' + name + b'.jsonl', 'wb') as file:\n"
            "        file.write(b'{\"n\":1}\\n')\n"))
        view = client.watch(run)
        view.wait_end()
        paths = [entry["path"] for entry in view.end["files"] if entry["path"].startswith("outputs/")]
        self.assertEqual(paths, [u"outputs/\uf7fe", u"outputs/\uf7ff"])
        self.assertEqual(sorted(name for name in view.files if name.startswith("journal/")),
                         [u"journal/\uf7fe.jsonl", u"journal/\uf7ff.jsonl"])
        for path, content in zip(paths, (b"\xfe", b"\xff")):
            _, data = client.answer(client.ask("file.read", {"run": run, "attempt": 1, "path": path, "offset": 0,
                                                             "length": 9}))
            self.assertEqual(data, content)

    def test_an_end_and_cursors_that_no_header_holds(self):
        client = self.connect()
        count = 6000
        run = self.submit(client, (
            "import os\nos.makedirs('logs')\n"
            "for i in range(%d):\n    open('logs/%%05d-of-a-worker-with-a-name.txt' %% i, 'w').write('x')\n" % count))
        view = client.watch(run)
        self.assertEqual(view.wait_end()["state"], "Completed")
        self.assertEqual(len([name for name in view.ends if name.startswith("logs/")]), count)
        again = client.watch(run, stored={name: (generation, bytes(data))
                                          for name, (generation, data) in view.files.items()})
        again.wait_end()
        self.assertEqual(again.frames, [])
        self.assertEqual(again.ends, view.ends)

    def test_frames_that_arrive_together_are_not_left_lying(self):
        client = self.connect()
        burst = b"".join(b"".join(encode({"watch": 77, "credit": 1})) for _ in range(8000))
        client.process.stdin.write(burst)
        self.assertTrue(client.call("host.load"))

    def test_a_script_that_writes_over_its_own_files_harms_no_other(self):
        client = self.connect()
        hostile = client.watch(self.submit(client, (
            "import os, time\nfolder = os.environ['RUNYARD_RUN_DIR'] + '/'\n"
            "for name in ('launch', 'spec', 'tree', 'hashes'):\n"
            "    open(folder + name + '.json', 'w').write('[5]')\n"
            "for text in ('[]', '{}', '5', '{\"state\": [], \"heartbeat\": \"x\"}', '{\"state\": \"Completed\"}'):\n"
            "    open(folder + 'status.json', 'w').write(text)\n    time.sleep(0.5)\n"
            "print('done', flush=True)\ntime.sleep(600)\n")))
        hostile.wait_log(b"done")
        self.assertIsNone(hostile.end)
        view, status = self.run_to_end(client, "print('the other')\n")
        self.assertEqual((status["state"], view.text("user_logs/std_log.txt")), ("Completed", b"the other\n"))
        client.call("run.cancel", {"run": hostile.run, "attempt": 1, "reason": "enough"})
        hostile.wait_end()
        self.assertEqual(hostile.state, "Canceled")

    def test_a_script_that_puts_folders_where_our_files_are(self):
        client = self.connect()
        view, status = self.run_to_end(client, (
            "import os\nfolder = os.environ['RUNYARD_RUN_DIR'] + '/'\n"
            "for name in ('events.jsonl', 'status.json', 'monitor.jsonl'):\n"
            "    while not os.path.isdir(folder + name):\n        try:\n"
            "            os.unlink(folder + name)\n            os.makedirs(folder + name + '/full')\n"
            "        except OSError:\n            pass  # it was written again in between\n"
            "raise SystemExit(3)\n"))
        self.assertEqual((status["state"], status["exit_code"]), ("Failed", 3))

    def test_a_script_that_removes_its_run_leaves_no_supervisor(self):
        client = self.connect()
        run = self.submit(client, (
            "import os, shutil, time\ntime.sleep(0.5)\n"
            "shutil.rmtree(os.environ['RUNYARD_RUN_DIR'], ignore_errors=True)\n"))
        view = client.watch(run)
        supervisor = view.wait_state("Running")["supervisor"]
        wait_until(lambda: not processes.is_alive(supervisor["pid"], supervisor["start"]), "the supervisor's end")
        with self.assertRaises(Refused):
            client.call("run.status", {"run": run, "attempt": 1})

    def test_a_log_that_is_rotated_and_one_that_is_truncated(self):
        client = self.connect()
        run = self.submit(client, (
            "import os, sys, time\nos.makedirs('logs')\n"
            "def wait(name):\n    while not os.path.exists(name): time.sleep(0.01)\n"
            "open('logs/r.log', 'w').write('first')\nprint('one', flush=True)\n"
            "wait('../go1')\nos.rename('logs/r.log', 'logs/r.log.1')\nopen('logs/r.log', 'w').write('second')\n"
            "os.truncate('../user_logs/std_log.txt', 0)\nprint('t', flush=True)\nwait('../go2')\n"))
        view = client.watch(run)
        client.wait(lambda: view.text("logs/r.log") == b"first", "the first log")
        view.wait_log(b"one")
        self.go(run, "go1")
        client.wait(lambda: view.text("logs/r.log") == b"second", "the second log")
        client.wait(lambda: view.text("user_logs/std_log.txt") == b"t\n", "the truncated log")
        self.go(run, "go2")
        view.wait_end()
        self.assertEqual(view.problems, [])
        self.assertEqual(view.text("logs/r.log.1"), b"first")
        self.assertEqual(len(view.generations["logs/r.log"]), 2)
        self.assertEqual(view.generations["user_logs/std_log.txt"][1][-2:], "+1")

    def go(self, run, name):
        with open(os.path.join(self.attempt(run).folder, name), "w"):
            pass

    def test_a_listing_longer_than_a_header(self):
        client = self.connect()
        view, _ = self.run_to_end(client, "import os\nos.makedirs('outputs')\n"
                                          "for i in range(6000): open('outputs/%s%05d' % ('n' * 40, i), 'w').close()\n")
        self.assertTrue(view.end["more"])
        files = list(view.end["files"])
        while True:
            found = client.call("run.files", {"run": self.run_of(view), "attempt": 1, "after": files[-1]["path"]})
            files += found["files"]
            if not found["more"]:
                break
        self.assertEqual([entry["path"] for entry in files if not entry["path"].startswith("environment/")],
                         sorted(["outputs/%s%05d" % ("n" * 40, i) for i in range(6000)] + ["user_logs/std_log.txt"]))

    def run_of(self, view):
        return os.listdir(self.root + "/runs")[0]

    def test_hashing_a_large_output_does_not_stop_others(self):
        client = self.connect()
        big = self.submit(client, "import os\nos.makedirs('outputs')\n"
                                  "f = open('outputs/big', 'wb'); f.truncate(400 << 20); f.close()\n")
        view = client.watch(big)
        view.wait_state("Completed")
        answered = 0
        while view.end is None:
            client.call("run.status", {"run": big, "attempt": 1})
            answered += 1
        self.assertGreater(answered, 5)
        self.assertEqual({entry["path"]: entry["sha256"] for entry in view.end["files"]}["outputs/big"],
                         hashlib.sha256(bytes(400 << 20)).hexdigest())
