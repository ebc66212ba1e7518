"""Runs of several processes on several nodes of a real Slurm cluster (test/rig/slurm)."""

import json
import os
import shutil
import subprocess
import unittest

from runyard_agent import distributed_steps, processes
from runyard_agent.atomic import read_json

from . import snapshots
from .client import SOURCE
from .slow_distributed import MPI, SYSTEM, TORCH, has
from .support import wait_until
from .test_distributed import Several, several

RIG = os.path.join(os.path.dirname(SOURCE), "test", "rig", "slurm", "start-cluster.ts")
NODE = os.path.join(os.path.dirname(SOURCE), "node_modules", ".bin", "node")

#: Where the rig cannot be (no root, no Slurm), why.
_problem = []


class Cluster(object):
    """The cluster of this file's tests."""

    def __init__(self):
        node = NODE if os.path.exists(NODE) else "node"
        self.process = subprocess.Popen([node, RIG, json.dumps({"killWait": 8})], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.place = json.loads(self.process.stdout.readline().decode("utf-8") or '{"problem": "it does not start"}')
        self.problem = self.place.get("problem")

    def do(self, what, *arguments):
        """A fault, or a question."""
        self.process.stdin.write(json.dumps({"do": what, "with": list(arguments)}).encode("utf-8") + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline().decode("utf-8"))
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["result"]

    def close(self):
        """Ends it with all its machines."""
        self.process.stdin.close()
        self.process.wait(60)
        self.process.stdout.close()


def slurm(**members):
    """spec.slurm."""
    found = {name: None for name in ("partition", "account", "qos", "constraint", "dependency", "time", "cpus_per_task",
                                     "memory", "gres")}
    return dict(found, **dict({"options": [], "setup": [], "mpi_launcher": "auto"}, **members))


def content(path):
    """What is in a file, nothing where there is none."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


class SeveralNodes(Several):

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster()
        if cls.cluster.problem:
            cls.cluster.close()
            raise unittest.SkipTest(cls.cluster.problem)

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    def join(self):
        """A channel on the login node."""
        path = self.cluster.place["bin"] + os.pathsep + os.environ["PATH"]
        return self.connect(env=dict(os.environ, PATH=path))

    def begin(self, client, script, processes=3, nodes=2, command=None, slurm_members=None, **members):
        """Submits; gives the WatchView."""
        spec = snapshots.spec_of(
            snapshots.send(client, {"main.py": script}), command=command or [SYSTEM, "-u", "main.py"],
            distributed=several(processes, **members.pop("distributed", {})), slurm=slurm(**(slurm_members or {})),
            resources={"slots": 1, "gpus": 0, "nodes": nodes}, grace_seconds=members.pop("grace_seconds", 5), **members)
        client.call("run.submit", {"spec": spec, "environment": {}})
        return client.watch(spec["run"])

    def told(self, view, rank):
        """The JSON that a rank has written, in whatever company."""
        lines = [line for line in self.log(view, rank).splitlines() if line.startswith(("{", "["))]
        self.assertEqual(len(lines), 1, self.log(view, rank))
        return json.loads(lines[0])

    def everything(self, view):
        """For a failure's message."""
        folder = self.attempt(view.run).folder
        text = ""
        for name in ("user_logs/std_log.txt", "user_logs/std_log_process_01.txt", "slurm/output.txt", "supervisor.log",
                     "events.jsonl"):
            if os.path.exists(folder + "/" + name):
                with open(folder + "/" + name, errors="replace") as file:
                    text += "\n--- %s\n%s" % (name, file.read())
        return text


class Nodes(SeveralNodes):

    def test_ranks_over_two_nodes(self):
        view = self.begin(self.join(), "import json, os; print(json.dumps([dict(os.environ), os.uname()[1]]), flush=True)",
                          variables={"MINE": "1"})
        status = view.wait_end()
        self.assertEqual((status["state"], status["exit_code"]), ("Completed", 0), self.everything(view))
        first = self.told(view, 0)[0]
        for rank, (node, local, size) in enumerate(((0, 0, 2), (0, 1, 2), (1, 0, 1))):
            variables, host = self.told(view, rank)
            expected = {"RANK": rank, "WORLD_SIZE": 3, "LOCAL_RANK": local, "LOCAL_WORLD_SIZE": size, "NODE_RANK": node,
                        "RUNYARD_NODE_COUNT": 2, "MINE": 1, "MASTER_PORT": first["MASTER_PORT"],
                        "MASTER_ADDR": first["MASTER_ADDR"], "SLURM_PROCID": rank, "SLURM_LOCALID": local,
                        "SLURM_NODEID": node, "SLURM_NTASKS": 3, "RUNYARD_MARK": view.run + "/1"}
            self.assertEqual({name: variables.get(name) for name in expected},
                             {name: str(value) for name, value in expected.items()})
            self.assertEqual(host, self.cluster.place["nodes"][node])
        self.assertNotIn("127.0.0.1", first["MASTER_ADDR"])
        self.assertFalse(os.path.exists(self.attempt(view.run).folder + "/distributed.json"))

    def test_the_rank_of_another_node_that_fails(self):
        view = self.begin(self.join(), (
            "import os, time\n"
            "if os.environ['RANK'] == '2': raise ValueError('bad shard')\n"
            "time.sleep(3600)\n"))
        status = view.wait_end()
        self.assertEqual((status["state"], status["exit_code"]), ("Failed", 1), self.everything(view))
        self.assertEqual(status["error"]["message"], "Rank 2 on %s failed with exit code 1: ValueError: bad shard"
                         % self.cluster.place["nodes"][1])
        self.assertIn("bad shard", status["error"]["tail"])

    ONCE = ("import os, signal, sys, time\n"
            "told = []\n"
            "def end(*_):\n"
            "    told.append(1)\n"
            "    if len(told) > 1: return\n"
            "    time.sleep(2)\n"
            "    print('told', len(told), flush=True)\n"
            "    sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, end)\n"
            "print('ready', flush=True)\n"
            "while True: time.sleep(3600)\n")

    def test_cancel_gives_every_node_the_grace(self):
        client = self.join()
        view = self.begin(client, self.ONCE, grace_seconds=20)
        folder = self.attempt(view.run).folder + "/user_logs/"
        for name in ("std_log.txt", "std_log_process_01.txt", "std_log_process_02.txt"):
            wait_until(lambda: b"ready" in content(folder + name), name)
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "tests"})
        status = view.wait_end()
        self.assertEqual(status["state"], "Canceled", self.everything(view))
        for rank in range(3):
            self.assertIn("ready\ntold 1\n", self.log(view, rank), self.everything(view))

    def test_nothing_is_left_on_any_node(self):
        client = self.join()
        script = ("import os, signal, subprocess, sys, time\n"
                  "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                  "subprocess.Popen(['sh', '-c', 'trap \"\" TERM; while :; do sleep 3600; done'], start_new_session=True)\n"
                  "print('ready', flush=True)\n"
                  "open('ready-' + os.environ['RANK'], 'w').close()\n"
                  "if len(sys.argv) > 1 and os.environ['RANK'] == '2':\n"
                  "    while not (os.path.exists('ready-0') and os.path.exists('ready-1')): time.sleep(0.05)\n"
                  "    sys.exit(3)\n"
                  "time.sleep(3600)\n")
        for words in ([], ["fail"]):
            view = self.begin(client, script, grace_seconds=1, command=[SYSTEM, "-u", "main.py"] + words)
            folder = self.attempt(view.run).folder + "/user_logs/"
            for name in ("std_log.txt", "std_log_process_01.txt", "std_log_process_02.txt"):
                wait_until(lambda: b"ready" in content(folder + name), name)
            if not words:
                client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "tests"})
            self.assertEqual(view.wait_end()["state"], "Failed" if words else "Canceled", self.everything(view))
            # The nodes' processes are seen from here.
            wait_until(lambda: processes.marked(view.run + "/1") == {}, "the end of all processes")

    def test_what_slurm_ends_is_told_once(self):
        client = self.join()
        for nodes in (1, 2):
            view = self.begin(client, self.ONCE, nodes=nodes, grace_seconds=20)
            folder = self.attempt(view.run).folder
            for name in ("std_log.txt", "std_log_process_01.txt", "std_log_process_02.txt"):
                wait_until(lambda: b"ready" in content(folder + "/user_logs/" + name), name)
            self.cluster.do("run", "scancel", str(read_json(folder + "/slurm/job.json")["job"]))
            self.assertEqual(view.wait_end()["state"], "Canceled", self.everything(view))
            for rank in range(3):
                self.assertIn("ready\n", self.log(view, rank))
                self.assertNotIn("told 2", self.log(view, rank), self.everything(view))

    def test_several_processes_on_one_node(self):
        client = self.join()
        script = "import json, os; print(json.dumps(dict(os.environ)), flush=True)"
        view = self.begin(client, script, nodes=1)
        self.assertEqual(view.wait_end()["state"], "Completed", self.everything(view))
        for rank in range(3):
            variables = self.told(view, rank)
            self.assertEqual((variables["RANK"], variables["SLURM_PROCID"], variables["SLURM_NTASKS"],
                              variables["SLURM_TASKS_PER_NODE"], variables["MASTER_ADDR"]),
                             (str(rank), str(rank), "3", "3", "127.0.0.1"))
        if shutil.which("mpirun") and has("mpi4py"):
            view = self.begin(client, MPI + "print(json.dumps([comm.rank, total]), flush=True)\n", nodes=1,
                              distributed={"kind": "mpi"})
            self.assertEqual(view.wait_end()["state"], "Completed", self.everything(view))
            self.assertEqual([self.told(view, rank) for rank in range(3)], [[0, 6], [1, 6], [2, 6]])

    def test_addresses_for_tensorflow(self):
        view = self.begin(self.join(), (
            "import os, json, time\n"
            "print(os.environ['TF_CONFIG'], flush=True)\n"
            "if json.loads(os.environ['TF_CONFIG'])['task']['type'] == 'ps': time.sleep(3600)\n"), processes=4,
            distributed={"kind": "tensorflow", "parameter_servers": 1})
        self.assertEqual(view.wait_end()["state"], "Completed", self.everything(view))
        found = [self.told(view, rank) for rank in range(4)]
        self.assertEqual(len(set(json.dumps(each["cluster"], sort_keys=True) for each in found)), 1, found)
        self.assertEqual(found[3]["task"], {"type": "ps", "index": 0})
        hosts = [each.split(":")[0] for each in found[0]["cluster"]["worker"]]
        self.assertEqual(hosts[0], hosts[1])
        self.assertNotEqual(hosts[0], hosts[2])

    @unittest.skipUnless(has("torch"), "needs torch")
    def test_torch_over_two_nodes(self):
        view = self.begin(self.join(), TORCH, distributed={"backend": "gloo", "log_ranks": "all"},
                          variables={"OMP_NUM_THREADS": "1"})
        self.assertEqual(view.wait_end()["state"], "Completed", self.everything(view))
        for rank in range(3):
            self.assertEqual(self.log(view, rank), "rank %d of 3\n" % rank)

    @unittest.skipUnless(shutil.which("mpirun") and has("mpi4py"), "needs mpirun and mpi4py")
    def test_mpirun_over_two_nodes(self):
        view = self.begin(self.join(), MPI + "print(json.dumps([comm.rank, total, dict(os.environ), os.uname()[1]]), flush=True)\n",
                          distributed={"kind": "mpi"}, variables={"MINE": "1"})
        self.assertEqual(view.wait_end()["state"], "Completed", self.everything(view))
        for rank, node in enumerate((0, 0, 1)):
            number, total, variables, host = self.told(view, rank)
            self.assertEqual((number, total), (rank, 6))
            self.assertEqual((variables["RANK"], variables["NODE_RANK"], variables["MINE"]), (str(rank), str(node), "1"))
            self.assertEqual(host, self.cluster.place["nodes"][node])

    @unittest.skipUnless(shutil.which("mpirun") and has("mpi4py"), "needs mpirun and mpi4py")
    def test_mpi_by_srun(self):
        view = self.begin(self.join(), MPI + "print(json.dumps([comm.rank, total]), flush=True)\n",
                          distributed={"kind": "mpi"}, slurm_members={"mpi_launcher": "srun"})
        self.assertEqual(view.wait_end()["state"], "Completed", self.everything(view))

    @unittest.skipUnless(shutil.which("mpirun") and has("mpi4py"), "needs mpirun and mpi4py")
    def test_cancel_of_mpi_gives_every_rank_the_grace(self):
        client = self.join()
        for launcher in ("mpirun", "srun"):
            view = self.begin(client, MPI + self.ONCE, distributed={"kind": "mpi"}, grace_seconds=20,
                              slurm_members={"mpi_launcher": launcher})
            folder = self.attempt(view.run).folder + "/user_logs/"
            for name in ("std_log.txt", "std_log_process_01.txt", "std_log_process_02.txt"):
                wait_until(lambda: b"ready" in content(folder + name), name)
            client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "tests"})
            self.assertEqual(view.wait_end()["state"], "Canceled", self.everything(view))
            for rank in range(3):
                self.assertIn("ready\ntold 1\n", self.log(view, rank), self.everything(view))

    @unittest.skipUnless(shutil.which("mpirun") and has("mpi4py"), "needs mpirun and mpi4py")
    def test_a_rank_of_mpi_on_another_node_fails(self):
        view = self.begin(self.join(), MPI + (
            "if comm.rank == 2:\n"
            "    print('bad', flush=True)\n"
            "    os._exit(3)\n"
            "time.sleep(3600)\n"), distributed={"kind": "mpi"})
        status = view.wait_end()
        self.assertEqual((status["state"], status["exit_code"]), ("Failed", 3), self.everything(view))
        self.assertEqual(status["error"]["message"], "Rank 2 on %s failed with exit code 3." % self.cluster.place["nodes"][1])


class Words(unittest.TestCase):

    def test_srun(self):
        self.assertEqual(distributed_steps.srun_argv(3, True), [
            "srun", "--quiet", "--nodes=3", "--ntasks=3", "--ntasks-per-node=1", "--kill-on-bad-exit=1", "--overlap",
            "--export=ALL", "--mpi=none", "--input=none", "--unbuffered", "--cpu-bind=none"])
