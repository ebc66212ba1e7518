"""Runs of several processes on one node, from submit to their end."""

import json
import os
import random
import shutil
import signal
import sys
import tempfile
import unittest


from runyard_agent import distributed_plan, processes, ranks
from runyard_agent.atomic import read_json
from runyard_agent.node_guard import _GuardedTree

from .support import AgentTest, alive, pids_in, wait_until

SAYS = ("import json, os\n"
        "print(json.dumps({name: value for name, value in os.environ.items()}), flush=True)\n")


def several(processes, **members):
    """spec.distributed."""
    return dict({"kind": "pytorch", "processes": processes, "parameter_servers": 0, "backend": None,
                 "log_ranks": "first"}, **members)


class Several(AgentTest):

    def log(self, view, rank):
        """What a rank has written."""
        name = "std_log.txt" if rank == 0 else "std_log_process_%02d.txt" % rank
        with open(self.attempt(view.run).folder + "/user_logs/" + name, "rb") as file:
            return file.read().decode("utf-8")

    def start(self, client, script, processes=3, **members):
        """Submits; gives the WatchView."""
        distributed = several(processes, **members.pop("distributed", {}))
        return client.watch(self.submit(client, script, distributed=distributed, **members))

    def node(self, view):
        """What the node's program says."""
        return read_json(self.attempt(view.run).folder + "/nodes/0.json")

    def nothing_is_left(self, view):
        """No process, and no file with the run's variables."""
        attempt = self.attempt(view.run)
        self.assertEqual(processes.marked(attempt.mark), {})
        self.assertFalse(os.path.exists(attempt.folder + "/distributed.json"))


class EndToEnd(Several):

    def test_each_rank_knows_its_place(self):
        view = self.start(self.connect(), SAYS, variables={"MINE": "1"}, distributed={"backend": "gloo"})
        status = view.wait_end()
        self.assertEqual((status["state"], status["exit_code"]), ("Completed", 0), self.log(view, 0))
        told = [json.loads(self.log(view, rank)) for rank in range(3)]
        for rank, found in enumerate(told):
            expected = {"RUNYARD_RANK": rank, "RUNYARD_WORLD_SIZE": 3, "RUNYARD_LOCAL_RANK": rank,
                        "RUNYARD_LOCAL_SIZE": 3, "RUNYARD_NODE_RANK": 0, "RUNYARD_NODE_COUNT": 1,
                        "RUNYARD_LOG_RANKS": "first", "RUNYARD_BACKEND": "gloo", "RANK": rank, "WORLD_SIZE": 3,
                        "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 3, "NODE_RANK": 0, "MASTER_ADDR": "127.0.0.1",
                        "MASTER_PORT": told[0]["MASTER_PORT"], "MINE": 1, "RUNYARD_MARK": view.run + "/1"}
            self.assertEqual({name: found.get(name) for name in expected},
                             {name: str(value) for name, value in expected.items()})
            self.assertFalse([name for name in found if name.startswith(("OMPI_", "PMI", "TF_", "SLURM_"))], found)
        self.assertTrue(1024 < int(told[0]["MASTER_PORT"]) < 65536)
        node = self.node(view)
        self.assertEqual([(each["rank"], each["exit_code"], each["signal"]) for each in node["ranks"]],
                         [(rank, 0, None) for rank in range(3)])
        self.assertEqual((node["node"], node["failed"]), (0, None))
        self.assertTrue(all(each["started"] <= each["ended"] for each in node["ranks"]))
        self.assertEqual([entry["path"] for entry in view.end["files"] if entry["path"].startswith("user_logs/std")],
                         ["user_logs/std_log.txt", "user_logs/std_log_process_01.txt",
                          "user_logs/std_log_process_02.txt"])
        self.nothing_is_left(view)

    def test_one_process_and_the_persons_own_address(self):
        view = self.start(self.connect(), SAYS, processes=1, distributed={"kind": "tasks"},
                          variables={"MASTER_ADDR": "box", "MASTER_PORT": "7777"})
        self.assertEqual(view.wait_end()["state"], "Completed", self.log(view, 0))
        found = json.loads(self.log(view, 0))
        self.assertEqual((found["MASTER_ADDR"], found["MASTER_PORT"]), ("box", "7777"))
        self.assertEqual((found["RANK"], found["WORLD_SIZE"]), ("0", "1"))

    def test_the_ranks_have_the_environments_python(self):
        found = {"hash": "ef" * 32, "name": None, "version": None, "label": "own", "recipe": None,
                 "conda_environment": None, "interpreter": self.folder + "/own-python", "container": None, "prepare": True}
        with open(found["interpreter"], "w") as file:
            file.write("#!/bin/sh\nexport OWN=1\nexec '%s' \"$@\"\n" % sys.executable)
        os.chmod(found["interpreter"], 0o755)
        view = self.start(self.connect(), "import os; print(os.environ['OWN'], os.environ['RANK'])", python=True,
                          command=["python", "main.py"], environment=found)
        self.assertEqual(view.wait_end()["state"], "Completed", self.log(view, 0))
        self.assertEqual([self.log(view, rank) for rank in range(3)], ["1 0\n", "1 1\n", "1 2\n"])

    def test_a_shell_command_in_every_rank(self):
        view = self.start(self.connect(), "", command=None, shell="echo rank $RANK; exec 2>&1; echo of $WORLD_SIZE >&2")
        self.assertEqual(view.wait_end()["state"], "Completed")
        self.assertEqual([self.log(view, rank) for rank in range(3)],
                         ["rank %d\nof 3\n" % rank for rank in range(3)])

    def test_tf_config_of_workers_and_parameter_servers(self):
        script = ("import os, json, time\n"
                  "print(os.environ['TF_CONFIG'], flush=True)\n"
                  "if json.loads(os.environ['TF_CONFIG'])['task']['type'] == 'ps': time.sleep(3600)\n")
        view = self.start(self.connect(), script, processes=4,
                          distributed={"kind": "tensorflow", "parameter_servers": 2})
        # The servers wait for ever, and are done when the workers are.
        self.assertEqual(view.wait_end()["state"], "Completed", self.log(view, 0))
        found = [json.loads(self.log(view, rank)) for rank in range(4)]
        self.assertEqual([each["task"] for each in found], [
            {"type": "worker", "index": 0}, {"type": "worker", "index": 1},
            {"type": "ps", "index": 0}, {"type": "ps", "index": 1}])
        self.assertEqual(len(set(json.dumps(each["cluster"], sort_keys=True) for each in found)), 1)
        addresses = found[0]["cluster"]["worker"] + found[0]["cluster"]["ps"]
        self.assertEqual(len(set(addresses)), 4)
        self.assertTrue(all(address.startswith("127.0.0.1:") for address in addresses))
        self.nothing_is_left(view)

    def test_workers_alone(self):
        view = self.start(self.connect(), "import os; print(os.environ['TF_CONFIG'])", processes=2,
                          distributed={"kind": "tensorflow"})
        self.assertEqual(view.wait_end()["state"], "Completed")
        self.assertEqual(list(json.loads(self.log(view, 1))["cluster"]), ["worker"])


class Failures(Several):

    def test_the_rank_that_fails_first_is_the_error_and_ends_the_others(self):
        view = self.start(self.connect(), (
            "import os, sys, time\n"
            "print('rank', os.environ['RANK'], flush=True)\n"
            "if os.environ['RANK'] == '1': raise ValueError('bad shard')\n"
            "time.sleep(3600)\n"))
        status = view.wait_end()
        self.assertEqual((status["state"], status["exit_code"], status["signal"]), ("Failed", 1, None))
        self.assertEqual(status["error"]["code"], "exit")
        self.assertEqual(status["error"]["message"], "Rank 1 failed with exit code 1: ValueError: bad shard")
        self.assertTrue(status["error"]["tail"].startswith("rank 1\n"), status["error"])
        self.assertEqual(self.node(view)["failed"], 1)
        self.assertEqual([each["signal"] for each in self.node(view)["ranks"]], [15, None, 15])
        self.nothing_is_left(view)

    def test_a_rank_that_a_signal_ends(self):
        view = self.start(self.connect(), (
            "import os, signal, time\n"
            "if os.environ['RANK'] == '2': os.kill(os.getpid(), signal.SIGKILL)\n"
            "time.sleep(3600)\n"))
        status = view.wait_end()
        self.assertEqual((status["exit_code"], status["signal"], status["error"]["code"]), (None, 9, "signal"))
        self.assertTrue(status["error"]["message"].startswith("Rank 2 was ended by SIGKILL (signal 9)."))
        self.nothing_is_left(view)

    def test_a_program_that_is_not_there(self):
        view = self.start(self.connect(), "", command=["/nowhere/python3", "main.py"])
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "not_found"))
        self.assertIn("/nowhere/python3 was not found", status["error"]["message"])
        self.nothing_is_left(view)

    def test_the_others_have_their_grace_and_are_told_once(self):
        view = self.start(self.connect(), (
            "import os, signal, sys, time\n"
            "told = []\n"
            "def end(*_):\n"
            "    told.append(1)\n"
            "    if len(told) == 1:\n"
            "        time.sleep(1)\n"
            "        print('told', len(told), flush=True)\n"
            "        sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, end)\n"
            "open('ready' + os.environ['RANK'], 'w').close()\n"
            "while len([name for name in os.listdir('.') if name.startswith('ready')]) < 3: time.sleep(0.01)\n"
            "if os.environ['RANK'] == '0': sys.exit(4)\n"
            "time.sleep(3600)\n"), grace_seconds=30)
        status = view.wait_end()
        self.assertEqual((status["exit_code"], status["error"]["message"]), (4, "Rank 0 failed with exit code 4."))
        self.assertEqual([self.log(view, rank) for rank in range(3)], ["", "told 1\n", "told 1\n"])

    def test_the_node_program_is_killed(self):
        client = self.connect()
        view = self.start(client, "import os, time; print('pid: %d' % os.getpid(), flush=True); time.sleep(3600)",
                          processes=2)
        view.wait_log(b"pid:")
        os.kill(view.wait_state("Running")["pid"], signal.SIGKILL)
        status = view.wait_end()
        self.assertEqual((status["state"], status["signal"]), ("Failed", 9))
        self.nothing_is_left(view)


class Endings(Several):

    STUBBORN = ("import os, signal, subprocess, sys, time\n"
                "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                "child = subprocess.Popen([sys.executable, '-c', 'import time, signal\\n"
                "signal.signal(signal.SIGTERM, signal.SIG_IGN)\\ntime.sleep(3600)'], start_new_session=True)\n"
                "print('own: %d' % os.getpid(), flush=True)\n"
                "print('child: %d' % child.pid, flush=True)\n"
                "print('ready', flush=True)\n"
                "time.sleep(3600)\n")

    def test_cancel_ends_what_ignores_it(self):
        client = self.connect()
        view = self.start(client, self.STUBBORN, processes=2, grace_seconds=1)
        view.wait_log(b"ready\n")
        wait_until(lambda: "ready" in self.log(view, 1), "rank 1")
        found = [int(line.split(":")[1]) for rank in (0, 1) for line in self.log(view, rank).splitlines() if ":" in line]
        self.assertEqual(len(found), 4)
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "tests"})
        status = view.wait_end()
        self.assertEqual((status["state"], status["reason"]), ("Canceled", "tests"))
        self.assertEqual([pid for pid in found if alive(pid)], [])
        self.nothing_is_left(view)

    def test_cancel_tells_each_process_once(self):
        client = self.connect()
        view = self.start(client, (
            "import os, signal, sys, time\n"
            "told = []\n"
            "def end(*_):\n"
            "    told.append(1)\n"
            "    if len(told) == 1:\n"
            "        time.sleep(1)\n"
            "        print('told', len(told), flush=True)\n"
            "        sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, end)\n"
            "print('ready', flush=True)\n"
            "time.sleep(3600)\n"), processes=2, grace_seconds=30)
        view.wait_log(b"ready\n")
        wait_until(lambda: "ready" in self.log(view, 1), "rank 1")
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "tests"})
        status = view.wait_end()
        self.assertEqual((status["state"], status["signal"], status["exit_code"]), ("Canceled", 15, None))
        self.assertEqual([self.log(view, rank) for rank in (0, 1)], ["ready\ntold 1\n"] * 2)

    def test_the_supervisor_is_killed(self):
        view = self.start(self.connect(), self.STUBBORN, processes=2, grace_seconds=1)
        view.wait_log(b"ready\n")
        view.wait_state("Running")
        os.kill(self.status(view.run)["supervisor"]["pid"], signal.SIGKILL)
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "supervisor_lost"))
        self.nothing_is_left(view)

    def test_the_time_limit(self):
        view = self.start(self.connect(), "import time; time.sleep(3600)", max_seconds=1)
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "time_limit"))
        self.nothing_is_left(view)

    def test_what_ranks_leave_behind_goes(self):
        view = self.start(self.connect(), (
            "import subprocess, sys\n"
            "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'], start_new_session=True)\n"
            "print('child: %d' % child.pid)\n"), processes=2)
        self.assertEqual(view.wait_end()["state"], "Completed")
        self.assertFalse(alive(pids_in(view, "child")[0]))
        self.nothing_is_left(view)


class Logging(Several):

    SCRIPT = ("import os, runyard\n"
              "runyard.log('loss', float(os.environ['RANK']))\n"
              "runyard.log_param('lr', 0.1)\n"
              "open('w%s.txt' % os.environ['RANK'], 'w').close()\n"
              "runyard.log_artifact('w%s.txt' % os.environ['RANK'])\n")

    def logged(self, view):
        """(metrics, parameters, artifacts) of all journals."""
        metrics, parameters, kept = {}, [], []
        for name in view.files:
            if name.startswith("journal/"):
                for line in view.text(name).decode("utf-8").splitlines():
                    line = json.loads(line)
                    metrics.update(line.get("m", {}))
                    parameters += list(line.get("params", {}))
                    kept += [line["artifact"]["path"]] if "artifact" in line else []
        return metrics, parameters, sorted(kept)

    def test_rank_0_alone(self):
        view = self.start(self.connect(), self.SCRIPT)
        self.assertEqual(view.wait_end()["state"], "Completed")
        self.assertEqual(self.logged(view), ({"loss": 0.0}, ["lr"], ["w0.txt", "w1.txt", "w2.txt"]))
        self.assertEqual(self.log(view, 0), "")
        self.assertIn("logRanks", self.log(view, 2))

    def test_all_ranks(self):
        view = self.start(self.connect(), self.SCRIPT, distributed={"log_ranks": "all"})
        self.assertEqual(view.wait_end()["state"], "Completed")
        self.assertEqual(self.logged(view), ({"loss": 0.0, "loss/rank_1": 1.0, "loss/rank_2": 2.0}, ["lr"],
                                             ["w0.txt", "w1.txt", "w2.txt"]))
        self.assertEqual(self.log(view, 1), "")


