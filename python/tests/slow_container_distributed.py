"""Runs of several processes in one container, by a real engine."""

import json
import os

from runyard_agent.atomic import read_json

from .engines import IMAGE, ContainerTest, environment, needs_docker
from .support import wait_until
from .test_distributed import several


@needs_docker
class Containers(ContainerTest):

    def log(self, run, rank):
        name = "std_log.txt" if rank == 0 else "std_log_process_%02d.txt" % rank
        with open(self.attempt(run).folder + "/user_logs/" + name, "rb") as file:
            return file.read().decode("utf-8")

    def begin(self, client, script="", processes=3, distributed=None, **members):
        view = self.start(client, script, distributed=several(processes, **(distributed or {})), **members)
        self.run_id = self.runs[-1]
        return view

    def assert_all_gone(self):
        self.assert_nothing_left()
        self.assertFalse(os.path.exists(self.attempt(self.run_id).folder + "/distributed.json"))

    def test_ranks_in_a_container(self):
        view = self.begin(self.connect(), (
            "import json, os, sys, runyard\n"
            "print(json.dumps([dict(os.environ), os.getcwd(), sys.argv]))\n"
            "runyard.log('loss', float(os.environ['RANK']))\n"),
            command=["python", "main.py", u"a 'b' \u4e16"], variables={"MINE": u"it's \u00e4"},
            distributed={"backend": "gloo", "log_ranks": "all"})
        status = view.wait_end()
        self.assertEqual((status["state"], status["exit_code"]), ("Completed", 0), self.log(self.run_id, 0))
        for rank in range(3):
            variables, folder, arguments = json.loads(self.log(self.run_id, rank))
            self.assertEqual((variables["RANK"], variables["WORLD_SIZE"], variables["LOCAL_RANK"]), (str(rank), "3", str(rank)))
            self.assertEqual((variables["MASTER_ADDR"], variables["MINE"]), ("127.0.0.1", u"it's \u00e4"))
            self.assertEqual((folder, arguments), (self.attempt(self.run_id).code, ["main.py", u"a 'b' \u4e16"]))
            self.assertNotIn("OMPI_COMM_WORLD_RANK", variables)
        names = set(name for each in view.files if each.startswith("journal/") for line in view.text(each).splitlines()
                    for name in json.loads(line)["m"])
        self.assertEqual(names, {"loss", "loss/rank_1", "loss/rank_2"})
        self.assertEqual([each["exit_code"] for each in read_json(
            self.attempt(self.run_id).folder + "/nodes/0.json")["ranks"]], [0, 0, 0])
        self.assert_all_gone()

    def test_failures(self):
        client = self.connect()
        status = self.begin(client, (
            "import os, time\n"
            "if os.environ['RANK'] == '1': raise ValueError('bad shard')\n"
            "time.sleep(3600)\n")).wait_end()
        self.assertEqual((status["exit_code"], status["error"]["code"]), (1, "exit"))
        self.assertEqual(status["error"]["message"], "Rank 1 failed with exit code 1: ValueError: bad shard")
        status = self.begin(client, "", shell='[ "$RANK" = 2 ] && kill -SEGV $$; sleep 3600').wait_end()
        self.assertEqual((status["signal"], status["error"]["code"]), (11, "signal"))
        self.assertTrue(status["error"]["message"].startswith("Rank 2 was ended by SIGSEGV"), status)
        status = self.begin(client, "", command=["no-such-program"], python=False).wait_end()
        self.assertIn("no-such-program was not found in the image " + IMAGE, status["error"]["message"])
        self.assert_all_gone()

    def test_a_rank_that_takes_too_much_memory(self):
        status = self.begin(self.connect(), (
            "import os, time\n"
            "if os.environ['RANK'] == '1': found = [bytearray(1 << 20) for _ in range(1000)]\n"
            "time.sleep(3600)\n"), environment_of=environment(memory="200m", arguments=["--memory-swap", "200m"])).wait_end()
        self.assertEqual(status["error"]["code"], "out_of_memory", status)
        self.assertEqual(status["error"]["message"], "The container ran out of memory (its limit is 200m) and the kernel "
                         "killed rank 1.")
        self.assert_all_gone()

    def test_cancel(self):
        client = self.connect()
        view = self.begin(client, (
            "import os, signal, sys, time\n"
            "told = []\n"
            "def end(*_):\n"
            "    told.append(1)\n"
            "    if len(told) > 1: return\n"
            "    time.sleep(1)\n"
            "    print('told', len(told), flush=True)\n"
            "    sys.exit(0)\n"
            "signal.signal(signal.SIGTERM, end)\n"
            "print('ready', flush=True)\n"
            "time.sleep(3600)\n"), processes=2, grace_seconds=30)
        view.wait_log(b"ready")
        wait_until(lambda: "ready" in self.log(self.run_id, 1), "rank 1")
        client.call("run.cancel", {"run": self.run_id, "attempt": 1, "reason": "tests"})
        self.assertEqual(view.wait_end()["state"], "Canceled")
        self.assertEqual([self.log(self.run_id, rank) for rank in (0, 1)], ["ready\ntold 1\n"] * 2)
        self.assert_all_gone()

    def test_an_image_without_python3(self):
        view = self.begin(self.connect(), "", command=["/bin/echo", "hi"], python=False,
                          variables={"PATH": "/nowhere"})
        status = view.wait_end()
        self.assertEqual((status["error"]["code"], status["exit_code"]), ("environment", 127))
        self.assertIn("has no python3 (3.6 or later), which starts the processes of a run that has several. Choose an "
                      "image with python3 on its PATH, or run one process.", status["error"]["message"])
        self.assert_all_gone()

    def test_mpi_without_mpirun_in_the_image(self):
        status = self.begin(self.connect(), "", distributed={"kind": "mpi"}).wait_end()
        self.assertEqual(status["error"]["code"], "not_found", status)
        self.assertIn("There is no mpirun on the PATH, which starts the 3 processes of this run. Install an MPI",
                      status["error"]["message"])
        self.assert_all_gone()
