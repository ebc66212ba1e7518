"""Runs of several processes with what real scripts use: mpirun with mpi4py, torch.distributed."""

import json
import os
import shutil
import signal
import subprocess
import unittest

from runyard_agent import mpi_launcher

from .support import alive, wait_until
from .test_distributed import Several

#: The system's Python, which has Debian's mpi4py and torch.
SYSTEM = "/usr/bin/python3"


def has(module):
    """Whether the system's Python has a module."""
    return os.path.exists(SYSTEM) and subprocess.run(
        [SYSTEM, "-c", "import importlib.util, sys; sys.exit(importlib.util.find_spec(%r) is None)" % module]).returncode == 0


MPI = ("from mpi4py import MPI\n"
       "import json, os, sys, time\n"
       "comm = MPI.COMM_WORLD\n"
       "total = comm.allreduce(comm.rank + 1)\n")

SAYS = MPI + "print(json.dumps([comm.rank, comm.size, total, dict(os.environ)]), flush=True)\n"


@unittest.skipUnless(shutil.which("mpirun") and has("mpi4py"), "needs mpirun and mpi4py")
class Mpi(Several):

    def start(self, client, script, processes=3, **members):
        members["distributed"] = dict({"kind": "mpi"}, **members.get("distributed", {}))
        members.setdefault("command", [SYSTEM, "-u", "main.py"])
        return Several.start(self, client, script, processes, **members)

    def test_ranks_talk_to_each_other(self):
        view = self.start(self.connect(), SAYS, processes=4, variables={"MINE": "1"})  # more than there are cores
        status = view.wait_end()
        self.assertEqual((status["state"], status["exit_code"]), ("Completed", 0), self.log(view, 0))
        for rank in range(4):
            number, size, total, variables = json.loads(self.log(view, rank))
            self.assertEqual((number, size, total), (rank, 4, 10))
            expected = {"RUNYARD_RANK": rank, "RUNYARD_WORLD_SIZE": 4, "RUNYARD_LOCAL_RANK": rank, "RANK": rank,
                        "WORLD_SIZE": 4, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": 4, "NODE_RANK": 0, "MINE": 1,
                        "OMPI_COMM_WORLD_RANK": rank, "OMPI_COMM_WORLD_SIZE": 4, "OMPI_COMM_WORLD_LOCAL_RANK": rank,
                        "MASTER_ADDR": "127.0.0.1", "RUNYARD_MARK": view.run + "/1"}
            self.assertEqual({name: variables.get(name) for name in expected},
                             {name: str(value) for name, value in expected.items()})
        node = self.node(view)
        self.assertEqual([(each["rank"], each["exit_code"]) for each in node["ranks"]], [(n, 0) for n in range(4)])
        self.nothing_is_left(view)

    def test_the_threads_of_a_rank_may_use_every_core(self):
        view = self.start(self.connect(), "import os; print(sorted(os.sched_getaffinity(0)))", processes=2)
        self.assertEqual(view.wait_end()["state"], "Completed")
        self.assertEqual(self.log(view, 1), "%s\n" % sorted(os.sched_getaffinity(0)))

    def test_the_rank_that_fails(self):
        view = self.start(self.connect(), MPI + (
            "print('rank', comm.rank, flush=True)\n"
            "if comm.rank == 1:\n"
            "    sys.stderr.write('Traceback (most recent call last):\\n  x\\nValueError: bad shard\\n')\n"
            "    os._exit(3)\n"
            "time.sleep(3600)\n"))
        status = view.wait_end()
        self.assertEqual((status["exit_code"], status["signal"]), (3, None), self.log(view, 0))
        self.assertEqual(status["error"]["message"], "Rank 1 failed with exit code 3: ValueError: bad shard")
        self.assertTrue(status["error"]["tail"].startswith("rank 1\n"))
        self.assertEqual(self.node(view)["failed"], 1)
        self.nothing_is_left(view)

    def test_a_rank_that_a_signal_ends(self):
        view = self.start(self.connect(), MPI + "if comm.rank == 2: os.kill(os.getpid(), 11)\ntime.sleep(3600)\n")
        status = view.wait_end()
        self.assertEqual((status["exit_code"], status["signal"]), (None, 11), self.log(view, 0))
        self.assertTrue(status["error"]["message"].startswith("Rank 2 was ended by SIGSEGV (signal 11)."), status)
        self.nothing_is_left(view)

    def test_mpi_abort(self):
        view = self.start(self.connect(), MPI + "if comm.rank == 1: comm.Abort(7)\ntime.sleep(3600)\n")
        status = view.wait_end()
        self.assertEqual((status["state"], status["exit_code"]), ("Failed", 7), self.log(view, 0))
        self.assertTrue(status["error"]["message"].startswith("Rank 1 failed with exit code 7"), status["error"])
        self.nothing_is_left(view)

    GRACE = ("import signal\n"
             "told = []\n"
             "def end(*_):\n"
             "    told.append(1)\n"
             "    if len(told) > 1: return\n"
             "    time.sleep(3 if comm.rank else 0)\n"
             "    print('told', len(told), flush=True)\n"
             "    os._exit(0)\n"
             "signal.signal(signal.SIGTERM, end)\n"
             "print('ready', flush=True)\n"
             "comm.barrier()\n")

    def test_others_have_their_grace_and_are_told_once(self):
        view = self.start(self.connect(), MPI + self.GRACE + (
            "if comm.rank == 0: os._exit(5)\n"
            "while True: time.sleep(3600)\n"), grace_seconds=30)
        status = view.wait_end()
        self.assertEqual((status["exit_code"], status["error"]["message"]), (5, "Rank 0 failed with exit code 5."))
        self.assertEqual([self.log(view, rank) for rank in (1, 2)], ["ready\ntold 1\n"] * 2)

    def test_cancel(self):
        client = self.connect()
        view = self.start(client, MPI + self.GRACE + "print('go', flush=True)\nwhile True: time.sleep(3600)\n",
                          grace_seconds=30)
        wait_until(lambda: all(os.path.exists(self.path(view, rank)) and "go" in self.log(view, rank)
                               for rank in range(3)), "all ranks")
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "tests"})
        status = view.wait_end()
        self.assertEqual((status["state"], status["signal"]), ("Canceled", 15))
        self.assertEqual([self.log(view, rank) for rank in range(3)], ["ready\ngo\ntold 1\n"] * 3)
        self.nothing_is_left(view)

    def path(self, view, rank):
        name = "std_log.txt" if rank == 0 else "std_log_process_%02d.txt" % rank
        return self.attempt(view.run).folder + "/user_logs/" + name

    def test_cancel_of_what_ignores_it(self):
        client = self.connect()
        view = self.start(client, MPI + (
            "import signal, subprocess\n"
            "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
            "child = subprocess.Popen(['sleep', '3600'], start_new_session=True)\n"
            "print('own: %d' % os.getpid()); print('child: %d' % child.pid, flush=True)\n"
            "comm.barrier()\nprint('go', flush=True)\n"
            "while True: time.sleep(3600)\n"), processes=2, grace_seconds=1)
        wait_until(lambda: os.path.exists(self.path(view, 1)) and "go" in self.log(view, 1), "rank 1")
        found = [int(line.split(":")[1]) for rank in (0, 1) for line in self.log(view, rank).splitlines() if ":" in line]
        self.assertEqual(len(found), 4)
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "tests"})
        self.assertEqual(view.wait_end()["state"], "Canceled")
        self.assertEqual([pid for pid in found if alive(pid)], [])
        self.nothing_is_left(view)

    def test_a_program_that_is_not_there(self):
        view = self.start(self.connect(), "", command=["/nowhere/python3", "main.py"], processes=2)
        status = view.wait_end()
        self.assertEqual(status["error"]["code"], "not_found", self.log(view, 0))
        self.assertIn("/nowhere/python3 was not found", status["error"]["message"])
        self.nothing_is_left(view)

    def test_mpirun_itself_fails(self):
        view = self.start(self.connect(), "", command=["/bin/true"],
                          variables={"OMPI_MCA_rmaps_base_oversubscribe": "0"}, processes=500)
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"], status["exit_code"]), ("Failed", "exit", 1))
        self.assertTrue(status["error"]["message"].startswith("mpirun failed with exit code 1"), status["error"])
        self.assertIn("not enough slots", status["error"]["tail"])

    def test_the_supervisor_is_killed(self):
        view = self.start(self.connect(), MPI + "print('ready', flush=True)\nwhile True: time.sleep(3600)\n", processes=2)
        view.wait_log(b"ready\n")
        os.kill(self.status(view.run)["supervisor"]["pid"], signal.SIGKILL)
        self.assertEqual(view.wait_end()["error"]["code"], "supervisor_lost")
        self.nothing_is_left(view)

    def test_without_mpirun(self):
        folder = self.folder + "/bin"
        os.mkdir(folder)
        os.symlink("/bin/sleep", folder + "/sleep")
        view = self.start(self.connect(), "", variables={"PATH": folder})
        status = view.wait_end()
        self.assertEqual(status["error"]["code"], "not_found")
        self.assertIn("There is no mpirun on the PATH, which starts the 3 processes of this run.",
                      status["error"]["message"])
        self.nothing_is_left(view)

    def test_values_of_ranks(self):
        view = self.start(self.connect(), MPI + "import runyard\nrunyard.log('sum', float(total + comm.rank))\n",
                          distributed={"log_ranks": "all"})
        self.assertEqual(view.wait_end()["state"], "Completed", self.log(view, 0))
        lines = [json.loads(line) for name in view.files if name.startswith("journal/")
                 for line in view.text(name).splitlines()]
        self.assertEqual(sorted((name, value) for line in lines for name, value in line["m"].items()),
                         [("sum", 6.0), ("sum/rank_1", 7.0), ("sum/rank_2", 8.0)])

    def test_a_script_that_starts_mpirun_itself(self):
        view = Several.start(self, self.connect(), MPI + "import runyard\nrunyard.log('x', float(comm.rank))\n",
                             processes=1, distributed={"kind": "tasks"}, command=None,
                             shell="mpirun --allow-run-as-root --oversubscribe -np 3 %s main.py" % SYSTEM)
        self.assertEqual(view.wait_end()["state"], "Completed", self.log(view, 0))
        lines = [json.loads(line) for name in view.files if name.startswith("journal/")
                 for line in view.text(name).splitlines()]
        self.assertEqual([line["m"] for line in lines], [{"x": 0.0}])


TORCH = """
import os, sys
import torch, torch.distributed as dist
import runyard
dist.init_process_group(os.environ['RUNYARD_BACKEND'])
torch.manual_seed(dist.get_rank())
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 1))
optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
for step in range(3):
    loss = model(torch.ones(8, 4) * (dist.get_rank() + 1)).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    runyard.log('loss', loss, step)
weights = [torch.zeros(4) for _ in range(dist.get_world_size())]
dist.all_gather(weights, next(model.parameters()).detach().flatten())
assert all(torch.equal(weights[0], each) for each in weights)
print('rank', dist.get_rank(), 'of', dist.get_world_size())
"""


@unittest.skipUnless(has("torch"), "needs torch")
class Torch(Several):

    def test_distributed_data_parallel(self):
        view = self.start(self.connect(), TORCH, processes=2, command=[SYSTEM, "-u", "main.py"],
                          distributed={"backend": "gloo", "log_ranks": "all"}, variables={"OMP_NUM_THREADS": "1"})
        self.assertEqual(view.wait_end()["state"], "Completed", self.log(view, 0) + self.log(view, 1))
        self.assertTrue(self.log(view, 0).endswith("rank 0 of 2\n"))
        self.assertTrue(self.log(view, 1).endswith("rank 1 of 2\n"))
        names = set(name for each in view.files if each.startswith("journal/") for line in view.text(each).splitlines()
                    for name in json.loads(line).get("m", {}))
        self.assertEqual(names, {"loss", "loss/rank_1"})

    def test_torchrun_in_the_script(self):
        script = ("import os, runyard\n"
                  "runyard.log('x', float(os.environ['RANK']))\n"
                  "print('of', os.environ['WORLD_SIZE'])\n")
        view = Several.start(self, self.connect(), script, processes=1, distributed={"kind": "tasks"}, command=None,
                             shell=SYSTEM + " -m torch.distributed.run -r 1 -t 1 --standalone --nproc_per_node=3 main.py")
        self.assertEqual(view.wait_end()["state"], "Completed", self.log(view, 0))
        self.assertEqual(self.log(view, 0).count("of 3\n"), 3)
        lines = [json.loads(line) for name in view.files if name.startswith("journal/")
                 for line in view.text(name).splitlines()]
        self.assertEqual([line["m"] for line in lines], [{"x": 0.0}])

    def test_a_rank_that_fails_while_the_others_wait_for_it(self):
        view = self.start(self.connect(), (
            "import os, torch.distributed as dist\n"
            "dist.init_process_group('gloo')\n"
            "if dist.get_rank() == 1: raise RuntimeError('lost the shard')\n"
            "dist.barrier()\n"), processes=2, command=[SYSTEM, "-u", "main.py"])
        status = view.wait_end()
        self.assertEqual(status["error"]["message"], "Rank 1 failed with exit code 1: RuntimeError: lost the shard")


class Launchers(unittest.TestCase):

    def test_words(self):
        plan = {"processes": 5, "nodes": 1, "hosts": []}
        self.assertEqual(mpi_launcher.mpirun_argv(plan, "/m/mpirun", "mpirun (Open MPI) 4.1.4"), ["/m/mpirun", "-np", "5"])
        plan = {"processes": 5, "nodes": 2, "hosts": ["a", "b"]}
        self.assertEqual(mpi_launcher.mpirun_argv(plan, "mpirun", "mpirun (Open MPI) 5.0.3"),
                         ["mpirun", "-np", "5", "--host", "a:3,b:2"])
        self.assertEqual(mpi_launcher.mpirun_argv(plan, "mpirun", "HYDRA build details:"),
                         ["mpirun", "-np", "5", "-hosts", "a:3,b:2"])
        listed = "MPI plugin types are...\n\tnone\n\tpmi2\n\tcray_shasta\nspecific pmix plugin versions available: pmix_v4\n"
        self.assertEqual(mpi_launcher.best_type(listed), "pmix_v4")
        self.assertEqual(mpi_launcher.best_type("srun: MPI types are...\nsrun: none\nsrun: pmi2\n"), "pmi2")
