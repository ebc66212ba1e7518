"""Runs in containers, by a real engine."""

import json
import os
import signal
import time
import unittest

from runyard_agent import container_options, processes
from runyard_agent.atomic import read_json, write_json

from .client import Refused
from .engines import IMAGE, ContainerTest, docker, environment, needs_docker
from .support import wait_until

SAYS = "import json, os, sys\nprint(json.dumps([dict(os.environ), sys.argv, os.getcwd(), os.getuid(), sys.path]))\n"


@needs_docker
class EndToEnd(ContainerTest):

    def test_everything_is_in_its_place(self):
        client = self.connect()
        odd = u"it's \"secret\"\nlines $(id) `id` $HOME \\n \u00e4\u4e16\U0001F600\t"
        every = "".join(chr(code) for code in range(1, 0x250))
        view = self.start(client, SAYS + (
            "import runyard\nrunyard.log('loss', 0.5)\n"
            "os.makedirs('outputs'); open('outputs/w', 'w').write('x')\n"
            "os.makedirs(os.environ['HOME'] + '/deep')\n"
            "print(repr(sys.stdin.read())); print('err', file=sys.stderr)\n"
            "import time; time.sleep(1)\n"),
            command=["python", "main.py", u"a 'b' \u4e16", "--x=$(id)\n2"],
            variables={"ODD": odd, "EVERY": every, "EMPTY": "", "a.b": "dotted", "PYTHONPATH": "/mine"})
        view.wait_state("Running")
        run = self.runs[0]
        told = json.loads(self.ask("inspect", run))[0]
        self.assertNotIn("secret", json.dumps(told))
        self.assertEqual(told["Config"]["Labels"]["runyard.run"], run)
        self.assertEqual(told["Name"], "/" + run)
        status = view.wait_end()
        log = view.text("user_logs/std_log.txt").decode("utf-8").splitlines()
        self.assertEqual(status["state"], "Completed", log)
        self.assertEqual((status["exit_code"], status["signal"], status["error"]), (0, None, None))
        self.assertEqual(log[0], "Runyard: the variable a.b is not set: no shell can set one of that name.")
        variables, arguments, folder, uid, path = json.loads(log[1])
        attempt = self.attempt(run)
        self.assertEqual((variables["ODD"], variables["EVERY"], variables["EMPTY"]), (odd, every, ""))
        self.assertEqual(arguments, ["main.py", u"a 'b' \u4e16", "--x=$(id)\n2"])
        self.assertEqual((folder, uid), (attempt.code, os.getuid()))
        self.assertEqual(variables["HOME"], attempt.home)
        self.assertEqual(variables["PYTHONPATH"].split(":")[1], "/mine")
        self.assertTrue(variables["USER"] and variables["USER"] == variables["LOGNAME"])
        self.assertEqual(variables["RUNYARD_MARK"], attempt.mark)
        self.assertNotIn(self.variables["PATH"], variables["PATH"])
        self.assertEqual(log[2:], ["''", "err"])
        self.assertEqual(view.states(), ["Queued", "Preparing", "Preparing", "Starting", "Running", "Finalizing",
                                         "Completed"])
        self.assertEqual(os.stat(attempt.code + "/outputs/w").st_uid, os.getuid())
        self.assertTrue(os.path.isdir(attempt.home + "/deep"))
        self.assertEqual(len([name for name in view.files if name.startswith("journal/")]), 1)
        facts = read_json(attempt.artifacts + "/environment/environment.json")
        self.assertEqual((facts["image"], facts["engine"]), (IMAGE, "docker"))
        self.assertIn("pip", [package["name"] for package in facts["packages"]])
        lines = [json.loads(line) for line in view.text("monitor.jsonl").decode("ascii").splitlines()]
        self.assertTrue(any((line["rss"] or 0) > 1000000 for line in lines), lines)
        self.assertEqual(read_json(attempt.status)["pid"], None)
        self.assert_nothing_left()

    def test_failures_are_told_as_on_the_host(self):
        client = self.connect()
        log, status = self.to_end(client, "raise ValueError('bad lr')\n")
        self.assertEqual((status["exit_code"], status["error"]["code"]), (1, "exit"))
        self.assertEqual(status["error"]["message"], "The script failed with exit code 1: ValueError: bad lr")
        log, status = self.to_end(client, shell="echo $((1+2)); exit 3")
        self.assertEqual((log, status["exit_code"], status["error"]["code"]), ("3\n", 3, "exit"))
        log, status = self.to_end(client, shell="kill -SEGV $$")
        self.assertEqual((status["signal"], status["error"]["code"]), (signal.SIGSEGV, "signal"))
        log, status = self.to_end(client, "import time; time.sleep(100)", max_seconds=0.5)
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "time_limit"))
        log, status = self.to_end(client, "", command=["no-such-program"], python=False)
        self.assertEqual((status["error"]["code"], status["exit_code"]), ("not_found", 127))
        self.assertIn("no-such-program was not found in the image " + IMAGE, status["error"]["message"])
        log, status = self.to_end(client, "", command=["./main.py"], python=False)
        self.assertIn("./main.py cannot be executed in the image", status["error"]["message"])
        self.assert_nothing_left()

    def test_an_interpreter_by_name(self):
        wanted = dict(environment(), interpreter="/usr/bin/python3")
        log, status = self.to_end(self.connect(), "import sys; print(sys.executable)", environment_of=wanted)
        self.assertEqual(log, "/usr/bin/python3\n")
        wanted = dict(environment(), interpreter="python9")
        log, status = self.to_end(self.clients[0], "", environment_of=wanted)
        self.assertEqual(status["error"]["code"], "environment")
        self.assertIn("python9 was not found in the image", status["error"]["message"])

    def test_an_image_without_python_or_shell(self):
        client = self.connect()
        log, status = self.to_end(client, "", variables={"PATH": "/nowhere"})
        self.assertEqual((status["error"]["code"], status["exit_code"]), ("environment", 127))
        self.assertIn("The image %s has no Python." % IMAGE, status["error"]["message"])
        self.assertIn("neither python3 nor python", log)
        name = "runyard-test/empty-%d" % os.getpid()
        with open(self.folder + "/empty.tar", "wb") as file:
            file.write(bytes(10240))
        self.ask("import", self.folder + "/empty.tar", name)
        try:
            for arguments in ([], ["--init=false"]):
                _, status = self.to_end(client, "", environment_of=environment(image=name, arguments=arguments))
                self.assertEqual(status["error"]["code"], "environment")
                self.assertIn("The image %s has no shell (/bin/sh)" % name, status["error"]["message"])
        finally:
            self.ask("rmi", name)
        self.assert_nothing_left()

    def test_an_image_that_cannot_be_had(self):
        name = "127.0.0.1:1/runyard-test/none:1"
        _, status = self.to_end(self.connect(), "", environment_of=environment(image=name))
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "environment"))
        self.assertIn("The image %s could not be pulled: " % name, status["error"]["message"])
        self.assertIn("connection refused", status["error"]["message"])
        self.assertIn("connection refused", status["error"]["tail"])
        self.assertIn("Pulling the image " + name, self.view.text("user_logs/build_log.txt").decode("utf-8"))
        _, status = self.to_end(self.clients[0], "", environment_of=environment(image="Not A Name"))
        self.assertEqual(status["error"]["code"], "environment")
        self.assertIn("invalid reference format", status["error"]["message"])
        self.assert_nothing_left()

    def test_docker_arguments(self):
        client = self.connect()
        wanted = environment(arguments=["--env", "X=1", "--hostname", "box"], shm_size="70m", cpus=0.5, memory="128m")
        log, status = self.to_end(client, "import os; print(os.environ['X'], os.uname()[1])", environment_of=wanted)
        self.assertEqual((log, status["state"]), ("1 box\n", "Completed"))
        _, status = self.to_end(client, "", environment_of=environment(arguments=["--no-such-option"]))
        self.assertEqual(status["error"]["code"], "environment")
        self.assertIn("unknown flag: --no-such-option", status["error"]["message"])
        with self.assertRaises(Refused) as caught:
            self.start(client, "", environment_of=environment(arguments=["--name=x"]))
        self.assertIn("The Docker argument --name=x cannot be used", str(caught.exception))
        _, status = self.to_end(client, "", environment_of=environment(memory="1k"))
        self.assertIn("Minimum memory limit", status["error"]["message"])
        self.assert_nothing_left()

    def test_arguments_that_name_labels_or_a_folder_that_is_not_there(self):
        client = self.connect()
        for label in ("runyard.run=mine", "runyard.root=mine"):
            log, status = self.to_end(client, "print('hi')", environment_of=environment(arguments=["--label", label]))
            self.assertEqual((log, status["state"]), ("hi\n", "Completed"))
        wanted = environment(arguments=["--mount", "type=bind,src=/not/there,dst=/x"])
        error = self.to_end(client, "", environment_of=wanted)[1]["error"]
        self.assertEqual(error["code"], "environment")
        self.assertIn("bind source path does not exist: /not/there", error["message"])
        self.assert_nothing_left()

    def test_out_of_memory(self):
        _, status = self.to_end(self.connect(), "x = bytearray(1 << 28)\nprint(len(x))", environment_of=environment(
            memory="64m", arguments=["--memory-swap", "64m"]))
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "out_of_memory"))
        self.assertIn("its limit is 64m", status["error"]["message"])
        self.assert_nothing_left()

    def test_no_engine_runs(self):
        self.variables["DOCKER_HOST"] = "unix://%s/none.sock" % self.folder
        _, status = self.to_end(self.connect(), "")
        self.assertEqual(status["error"]["code"], "engine")
        self.assertIn("is not running. Start Docker, or choose another environment.", status["error"]["message"])
        self.variables["PATH"] = self.folder
        _, status = self.to_end(self.clients[0], "")
        self.variables["PATH"] = os.environ["PATH"]
        self.assertEqual(status["error"]["code"], "engine")
        self.assertIn("neither docker nor podman was found", status["error"]["message"])

    def test_the_engine_is_known_though_nothing_is_inherited(self):
        log, status = self.to_end(self.connect(), "print(1)", inherit_environment=False)
        self.assertEqual((log, status["state"]), ("1\n", "Completed"))


@needs_docker
class Ends(ContainerTest):

    #: Says that it runs, and minds no SIGTERM.
    STUBBORN = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up')\ntime.sleep(100)\n"

    def up(self, client, script="import time\nprint('up')\ntime.sleep(100)\n", **members):
        """A run that has said `up`."""
        view = self.start(client, script, **members)
        view.wait_log(b"up\n")
        return view

    def test_cancel(self):
        client = self.connect()
        view = self.up(client, "import signal, sys, time\nsignal.signal(signal.SIGTERM, lambda *_: (print('told'), "
                               "sys.exit(5)))\nprint('up')\ntime.sleep(100)\n")
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "enough"})
        status = view.wait_end()
        self.assertEqual((status["state"], status["reason"], status["exit_code"]), ("Canceled", "enough", 5))
        self.assertIn(b"told", view.text("user_logs/std_log.txt"))
        view = self.up(client, self.STUBBORN, grace_seconds=1)
        began = time.monotonic()
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "enough"})
        status = view.wait_end()
        self.assertEqual((status["state"], status["signal"]), ("Canceled", 9))
        self.assertLess(time.monotonic() - began, 6)
        self.assertIn("CancelRequested", view.states())
        self.assert_nothing_left()

    def test_cancel_while_it_starts(self):
        client = self.connect()
        for pause in (0.0, 0.03, 0.06, 0.1, 0.2):
            view = self.start(client, "import time; time.sleep(100)")
            view.wait_state("Preparing", "Starting", "Running")
            time.sleep(pause)
            client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "enough"})
            self.assertEqual(view.wait_end()["state"], "Canceled")
        self.assert_nothing_left()

    def test_killed_stopped_and_removed_from_outside(self):
        client = self.connect()
        for words, message in ((["kill"], "The container was killed from outside (SIGKILL)."),
                               (["stop", "-t", "1"], "The container was stopped from outside (SIGTERM)."),
                               (["rm", "-f"], "The container was removed from outside.")):
            view = self.up(client)
            self.ask(*(words + [view.run]))
            status = view.wait_end()
            self.assertEqual((status["state"], status["error"]["code"], status["error"]["message"]),
                             ("Failed", "container", message))
        self.assert_nothing_left()

    def test_a_supervisor_that_is_told_to_end(self):
        client = self.connect()
        view = self.up(client)
        os.kill(self.status(view.run)["supervisor"]["pid"], signal.SIGTERM)
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"], status["signal"]), ("Failed", "signal", 15))
        self.assert_nothing_left()

    def test_a_killed_supervisor(self):
        client = self.connect()
        view = self.up(client, self.STUBBORN, grace_seconds=1)
        supervisor = self.status(view.run)["supervisor"]
        os.kill(supervisor["pid"], signal.SIGKILL)
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "supervisor_lost"))
        self.assert_nothing_left()

    def test_a_supervisor_killed_while_it_starts_the_container(self):
        client = self.connect()
        for pause in (0.0, 0.04, 0.1, 0.2):
            view = self.start(client, "import time; time.sleep(100)")
            attempt = self.attempt(view.run)
            wait_until(lambda: os.path.exists(attempt.container), "container.json")
            time.sleep(pause)
            os.kill(self.status(view.run)["supervisor"]["pid"], signal.SIGKILL)
            self.assertEqual(view.wait_end()["error"]["code"], "supervisor_lost")
        self.assert_nothing_left(40)

    def test_supervisor_and_serve_killed_and_the_host_restarted(self):
        client = self.connect()
        lost, restarted = self.up(client), self.up(client)
        client.kill()
        for view in (lost, restarted):
            os.kill(self.status(view.run)["supervisor"]["pid"], signal.SIGKILL)
        path = self.attempt(restarted.run).status
        wait_until(lambda: not processes.is_alive(*[self.status(restarted.run)["supervisor"][name]
                                                    for name in ("pid", "start")]), "the end of the supervisor")
        status = read_json(path)
        status["supervisor"]["boot"] = "another"
        write_json(path, status)
        self.ask("kill", restarted.run)
        client = self.connect()
        wait_until(lambda: self.status(lost.run)["state"] == self.status(restarted.run)["state"] == "Failed", "ends")
        self.assertEqual(self.status(lost.run)["error"]["code"], "supervisor_lost")
        self.assertEqual(self.status(restarted.run)["error"]["code"], "host_restarted")
        self.assert_nothing_left()

    def test_what_is_left_of_a_deleted_run_is_removed(self):
        client = self.connect()
        view = self.start(client, "print(1)")
        view.wait_end()
        attempt = self.attempt(view.run)
        words = ["run", "-d", "--name", view.run, "--entrypoint", "/bin/sh"]
        for label, value in container_options.labels(attempt).items():
            words += ["--label", "%s=%s" % (label, value)]
        self.ask(*(words + [IMAGE, "-c", "sleep 100"]))
        client.close()
        write_json(attempt.container, {"program": "docker", "variables": self.variables, "kind": "docker",
                                       "name": view.run, "id": None, "run": view.run, "attempt": 1})
        client = self.connect()
        client.call("run.delete", {"run": view.run})
        self.assert_nothing_left()
        wait_until(lambda: os.listdir(self.root + "/environments/containers") == [], "no file of the container")

    def test_a_name_that_is_taken(self):
        client = self.connect()
        # By somebody else: theirs stays.
        foreign = "run-%d-taken" % os.getpid()
        self.ask("create", "--name", foreign, IMAGE, "true")
        try:
            log, status = self.to_end(client, "print(1)", run=foreign)
            self.assertEqual((log, status["state"]), ("1\n", "Completed"))
            self.assertIsNotNone(self.ask("inspect", foreign))
        finally:
            self.ask("rm", "-f", foreign)
        # By what is left of the same attempt.
        own = "run-%d-left" % os.getpid()
        words = ["create", "--name", own]
        for label, value in container_options.labels(self.attempt(own)).items():
            words += ["--label", "%s=%s" % (label, value)]
        self.ask(*(words + [IMAGE, "true"]))
        log, status = self.to_end(client, "print(2)", run=own)
        self.assertEqual((log, status["state"]), ("2\n", "Completed"))
        self.assert_nothing_left()


@needs_docker
class Quick(ContainerTest):

    def test_the_first_line_comes_soon(self):
        client = self.connect()
        self.to_end(client, "print(1)")
        plain, ours = [], []
        for _ in range(5):
            began = time.time()
            docker("run", "--rm", "--network", "none", "--init", IMAGE, "python3", "-c", "print(1)")
            plain.append(time.time() - began)
            began = time.time()
            view = self.start(client, "import time; print(time.time(), flush=True)")
            view.wait_end()
            ours.append(float(view.text("user_logs/std_log.txt").decode("ascii").split()[0]) - began)
        self.assertLess(min(ours), min(plain) + 0.3, (ours, plain))


if __name__ == "__main__":
    unittest.main()
