"""The process tree of a run by Apptainer: its start, its variables, its ends. The program here is a prefix that starts the
command on this host without any container, as a child, in an environment that is empty: these are tests of the tree
only, and say nothing of a real Apptainer."""

import json
import os
import signal
import sys
import time

from runyard_agent import processes
from runyard_agent.atomic import read_json

from . import snapshots
from .engines import environment
from .support import AgentTest, wait_until

#: Up to the image everything is its own; it has a helper, as squashfuse is one, that notes when it is asked to end.
_PREFIX = """#!/bin/sh
[ "$1" = --version ] && { echo "apptainer version 0.0-tree"; exit; }
echo "$*" >> "%s/argv"
while [ "$1" != "%s" ]; do shift; done
shift
[ -e "%s/broken" ] && { echo "FATAL: cannot open the image"; exit 255; }
"%s" -c "import signal
signal.signal(signal.SIGTERM, lambda *_: open('%s/helper', 'w').close())
while True: signal.pause()" &
helper=$!
env -i PATH=/usr/local/bin:/usr/bin:/bin OF_IMAGE=yes "$@" &
wait $!; code=$?
kill -KILL $helper
exit $code
"""


class Tree(AgentTest):
    """See above."""

    def setUp(self):
        AgentTest.setUp(self)
        self.image = self.folder + "/image.sif"
        open(self.image, "w").close()
        os.makedirs(self.folder + "/bin")
        with open(self.folder + "/bin/apptainer", "w") as file:
            file.write(_PREFIX % (self.folder, self.image, self.folder, sys.executable, self.folder))
        os.chmod(self.folder + "/bin/apptainer", 0o755)
        self.variables = {"PATH": self.folder + "/bin:" + os.environ["PATH"], "HOME": self.folder, "OF_HOST": "yes",
                          "RUNYARD_ENGINE": "apptainer", "APPTAINERENV_BAD": "1"}

    def start(self, client, script="", container=None, **members):
        """Submits main.py to run in the image; gives its WatchView."""
        options = dict({"command": ["python", "main.py"], "python": True,
                        "environment": environment(**dict({"image": self.image, "network": None}, **container or {}))},
                       **members)
        spec = snapshots.spec_of(snapshots.send(client, {"main.py": script}), **options)
        client.call("run.submit", {"spec": spec, "environment": self.variables})
        return client.watch(spec["run"])

    def to_end(self, *arguments, **members):
        """`(log, last status)` of a run."""
        view = self.start(*arguments, **members)
        status = view.wait_end()
        self.assertEqual(view.problems, [])
        self.view = view
        attempt = self.attempt(view.run)
        for path in (attempt.container_script, attempt.environment, attempt.container):
            self.assertFalse(os.path.exists(path), path)
        self.assertEqual(processes.marked(attempt.mark), {})
        return view.text("user_logs/std_log.txt").decode("utf-8", "replace"), status

    def test_a_run(self):
        client = self.connect()
        log, status = self.to_end(client, "import json, os, runyard\nprint(json.dumps([dict(os.environ), os.getcwd()]))\n"
                                          "runyard.log('loss', 0.5)\nimport time; time.sleep(0.5)",
                                  variables={"MINE": "it's $(id)"}, container={"memory": "8g", "shm_size": "1g"})
        self.assertEqual((status["state"], status["exit_code"]), ("Completed", 0), log)
        variables, folder = json.loads(log)
        attempt = self.attempt(self.view.run)
        self.assertEqual((folder, variables["HOME"], variables["MINE"]), (attempt.code, attempt.home, "it's $(id)"))
        self.assertEqual((variables["OF_IMAGE"], variables.get("OF_HOST")), ("yes", None))
        self.assertEqual(variables["RUNYARD_MARK"], attempt.mark)
        facts = read_json(attempt.artifacts + "/environment/environment.json")
        self.assertEqual((facts["engine"], facts["kind"], facts["image"]), ("apptainer", "image", self.image))
        self.assertEqual(self.view.states(), ["Queued", "Preparing", "Starting", "Running", "Finalizing", "Completed"])
        self.assertEqual(len([name for name in self.view.files if name.startswith("journal/")]), 1)
        self.assertEqual(self.view.text("user_logs/build_log.txt").decode().splitlines(), [
            "Warning: Apptainer has no memory: the job's (or the host's) memory counts.",
            "Warning: Apptainer has no shmSize: /dev/shm is that of the host."])
        with open(self.folder + "/argv") as file:
            self.assertTrue(file.read().startswith("--quiet exec --cleanenv --no-home --bind " + attempt.folder))

    def test_ends(self):
        client = self.connect()
        log, status = self.to_end(client, "raise ValueError('bad lr')")
        self.assertEqual((status["exit_code"], status["error"]["code"]), (1, "exit"))
        self.assertIn("ValueError: bad lr", status["error"]["message"])
        _, status = self.to_end(client, "import time; time.sleep(100)", max_seconds=0.5)
        self.assertEqual(status["error"]["code"], "time_limit")
        orderly = ("import signal, sys, time\ndef end(*_):\n    time.sleep(0.5)\n    print('in order', flush=True)\n"
                   "    sys.exit(3)\nsignal.signal(signal.SIGTERM, end)\nprint('up', flush=True)\ntime.sleep(100)")
        view = self.start(client, orderly)
        view.wait_log(b"up\n")
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "enough"})
        self.assertEqual((view.wait_end()["state"], view.text("user_logs/std_log.txt")), ("Canceled", b"up\nin order\n"))
        self.assertFalse(os.path.exists(self.folder + "/helper"), "asked to end before the command has ended")
        stubborn = ("import signal, subprocess, sys, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                    "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(100)'], start_new_session=True)\n"
                    "print('up', flush=True)\ntime.sleep(100)")
        view = self.start(client, stubborn, grace_seconds=1)
        view.wait_log(b"up\n")
        began = time.monotonic()
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "enough"})
        self.assertEqual(view.wait_end()["state"], "Canceled")
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(processes.marked(self.attempt(view.run).mark), {})

    def test_a_killed_supervisor(self):
        client = self.connect()
        view = self.start(client, "import time; print('up', flush=True); time.sleep(100)", grace_seconds=1)
        view.wait_log(b"up\n")
        os.kill(read_json(self.attempt(view.run).status)["supervisor"]["pid"], signal.SIGKILL)
        self.assertEqual(view.wait_end()["error"]["code"], "supervisor_lost")
        wait_until(lambda: not processes.marked(self.attempt(view.run).mark), "the end of its processes")

    def test_what_does_not_begin(self):
        client = self.connect()
        _, status = self.to_end(client, command=["no-such-program"], python=False)
        self.assertEqual(status["error"]["code"], "not_found")
        self.assertIn("no-such-program was not found in the image", status["error"]["message"])
        _, status = self.to_end(client, container={"arguments": ["--cap-drop", "ALL"]})
        self.assertEqual(status["error"]["code"], "environment")
        self.assertIn("have no meaning for Apptainer", status["error"]["message"])
        _, status = self.to_end(client, container={"image": self.folder + "/none.sif"})
        self.assertEqual(status["error"]["code"], "not_found")
        open(self.folder + "/broken", "w").close()
        _, status = self.to_end(client)
        self.assertEqual((status["error"]["code"], status["exit_code"]), ("environment", 255))
        self.assertIn("could not start the image", status["error"]["message"])
        self.assertIn("FATAL: cannot open the image", status["error"]["message"])

    def test_several_processes(self):
        client = self.connect()
        several = {"kind": "tasks", "processes": 3, "parameter_servers": 0, "backend": None, "log_ranks": "first"}
        log, status = self.to_end(client, "import os; print('rank', os.environ['RANK'], os.environ['OF_IMAGE'])",
                                  distributed=several)
        self.assertEqual((log, status["state"]), ("rank 0 yes\n", "Completed"), status)
        _, status = self.to_end(client, "import os, time\nif os.environ['RANK'] == '2': raise ValueError('no')\n"
                                        "time.sleep(100)", distributed=several, grace_seconds=1)
        self.assertEqual(status["exit_code"], 1)
        self.assertIn("Rank 2", status["error"]["message"])
        view = self.start(client, "import time; print('up', flush=True); time.sleep(100)", distributed=several)
        view.wait_log(b"up\n")
        began = time.monotonic()
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "enough"})
        self.assertEqual(view.wait_end()["state"], "Canceled")
        self.assertLess(time.monotonic() - began, 8)
        self.assertEqual(processes.marked(self.attempt(view.run).mark), {})
