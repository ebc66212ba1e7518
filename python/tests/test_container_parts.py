"""What containers are made of, without an engine: their script, their options, what engines say."""

import json
import os
import subprocess
import sys
import time
import unittest

from runyard_agent import container_options, container_script, engine, engine_problem, environment
from runyard_agent.container import name_of
from runyard_agent.errors import AgentError
from runyard_agent.layout import Attempt
from runyard_agent.tool import Tool

from .snapshots import spec_of
from .support import AgentTest


class Script(AgentTest):
    """container.sh, executed by the shells of this host."""

    def execute(self, shell, argv, python=False, variables=None, image=None):
        """`(exit code, log, what container.began says)`."""
        attempt = Attempt(self.root, "run", 1)
        os.makedirs(attempt.code, exist_ok=True)
        os.makedirs(os.path.dirname(attempt.log), exist_ok=True)
        for path in (attempt.log, attempt.container_began):
            if os.path.exists(path):
                os.unlink(path)
        with open(attempt.container_script, "wb") as file:
            file.write(container_script.script_of(attempt, argv, python, variables or {}, "/agent"))
        code = subprocess.call(shell + [attempt.container_script],
                               env=dict({"PATH": os.environ["PATH"]}, **image or {}))
        with open(attempt.log, "rb") as file:
            return code, file.read(), container_script.began(attempt)

    def shells(self):
        """The shells that are here."""
        found = [["/bin/sh"]]
        for path in ("/bin/bash", "/usr/bin/bash", "/bin/dash", "/usr/bin/dash"):
            if os.path.exists(path):
                found.append([path])
        return found + ([["/bin/busybox", "sh"]] if os.path.exists("/bin/busybox") else [])

    def test_values_and_words_survive(self):
        values = {"A": "it's $(id) `id` \"q\" \\ \n\n end\n", "B": "", "C": u"\u00c1\u4e16\U0001F600",
                  "D": "".join(chr(code) for code in range(1, 0x800)), "IFS": "x", "LC_ALL": "C.UTF-8", "PATH": os.environ["PATH"]}
        says = "import json, os, sys; print(json.dumps([dict(os.environ), sys.argv[1:]]))"
        for shell in self.shells():
            code, log, word = self.execute(shell, [sys.executable, "-c", says, "a b", "'", "$x\n", u"\u4e16"], False,
                                           values, {"OLD": "1", "PYTHONPATH": "/images"})
            self.assertEqual((code, word), (0, "began"), log)
            variables, words = json.loads(log.decode("utf-8"))
            for name, value in values.items():
                self.assertEqual(variables[name], value, (shell, name))
            self.assertEqual(words, ["a b", "'", "$x\n", u"\u4e16"])
            self.assertEqual((variables["OLD"], variables["PYTHONPATH"]), ("1", "/agent:/images"))

    def test_the_script_keeps_no_name_for_itself(self):
        argv = ["python3", "-c", "import os; print(os.environ['program'])"]
        for python in (True, False):
            for shell in self.shells():
                # Not by way of a version manager's own script, which has such a variable, too.
                _, log, _ = self.execute(shell, argv, python, {"program": "mine", "PATH": "/usr/bin:/bin"})
                self.assertEqual(log, b"mine\n")

    def test_names_that_no_shell_can_set(self):
        values = {"a.b": "secret", "a-b": "secret", "1": "secret", u"\u00c4": "secret", "PPID": "1", "UID": "2",
                  "OK": "3"}
        for shell in self.shells():
            code, log, _ = self.execute(shell, ["sh", "-c", "echo $OK"], False, values)
            self.assertEqual(code, 0, log)
            self.assertEqual(log.count(b"no shell can set"), 6)
            self.assertNotIn(b"secret", log)
            self.assertTrue(log.endswith(b"\n3\n"))

    def test_what_is_not_there(self):
        os.makedirs(self.root + "/runs/run/attempts/1/code")
        open(self.root + "/runs/run/attempts/1/code/plain", "w").close()
        for shell in self.shells():
            code, log, word = self.execute(shell, ["python", "x"], True, {"PATH": "/nowhere"})
            self.assertEqual((code, word), (127, "python"))
            self.assertEqual(self.execute(shell, ["no-such"])[::2], (127, "program"))
            self.assertEqual(self.execute(shell, ["./no-such"])[::2], (127, "program"))
            self.assertEqual(self.execute(shell, ["./plain"])[::2], (126, "mode"))
            self.assertEqual(self.execute(shell, ["python", "-c", "exit(4)"], True)[::2], (4, "began"))


class Options(unittest.TestCase):

    def test_refused_arguments(self):
        for words in (["--name", "x"], ["--name=x"], ["--rm"], ["-d"], ["-itd"], ["--detach"], ["--entrypoint=x"],
                      ["--cidfile", "x"], ["--restart=always"], ["--"], ["image"], ["-e", "X=1", "--rm=false"]):
            with self.assertRaises(AgentError, msg=words) as caught:
                container_options.check_arguments(words)
            self.assertEqual(caught.exception.code, "bad_request")
        container_options.check_arguments([])
        container_options.check_arguments(["-it", "-ed=1", "-vd:/d", "--env", "X=--rm", "--detach-keys=x", "--gpus",
                                           "all"])

    def test_mounts(self):
        self.assertEqual(container_options.mount("/a b"), "type=bind,src=/a b,dst=/a b")
        self.assertEqual(container_options.mount('/a,"b', True), 'type=bind,"src=/a,""b","dst=/a,""b",readonly')

    def test_users_and_gpus(self):
        attempt = Attempt("/root", "run", 2)
        me = "%d:%d" % (os.getuid(), os.getgid())

        def words(kind="docker", leased=(), options=None, **facts):
            where = engine.Engine("/usr/bin/x", {}, kind, "1", **facts)
            return container_options.run_arguments(where, attempt, name_of(attempt), "image", options or {}, "/agent",
                                                   list(leased))

        def after(found, option):
            return [found[index + 1] for index, word in enumerate(found) if word == option]

        self.assertEqual(after(words(), "--user"), [me])
        self.assertEqual(after(words(), "--name"), ["run-2"])
        self.assertNotIn("--userns=host", words())
        self.assertIn("--userns=host", words(remapped=True))
        self.assertEqual(after(words(rootless=True), "--user"), ["0:0"])
        self.assertIn("--userns=keep-id", words("podman", rootless=True))
        listed = container_options.host_gpus.listed
        try:
            for gpus, expected in (([], []), ([{"index": 0}], ["all"])):
                container_options.host_gpus.listed = lambda root: gpus
                self.assertEqual(after(words(options={"all_gpus": True}), "--gpus"), expected)
        finally:
            container_options.host_gpus.listed = listed
        self.assertEqual(after(words(leased=[0, 2]), "--gpus"), ['"device=0,2"'])
        self.assertEqual(after(words("podman", leased=[0, 2]), "--device"), ["nvidia.com/gpu=0", "nvidia.com/gpu=2"])
        found = words(options={"shm_size": "2g", "memory": "4g", "cpus": 1.5, "network": "none", "arguments": ["-t"]})
        self.assertEqual([after(found, name) for name in ("--shm-size", "--memory", "--cpus", "--network")],
                         [["2g"], ["4g"], ["1.5"], ["none"]])
        self.assertEqual(found[-2:], ["image", attempt.container_script])
        # What the container is known by has the last word.
        self.assertEqual([word for word in found[found.index("-t") + 1:-2] if word != "--label"],
                         ["%s=%s" % each for each in sorted(container_options.labels(attempt).items())])

    def test_variables(self):
        spec = spec_of("0" * 64, variables={"HOME": "/mine", "X": "1"})
        attempt = Attempt("/root", "run", 1)
        found = environment.in_container(attempt, spec, [2, 5])
        self.assertEqual((found["HOME"], found["X"], found["CUDA_VISIBLE_DEVICES"]), ("/mine", "1", "0,1"))
        self.assertNotIn("PATH", found)
        found = environment.in_container(attempt, spec_of("0" * 64), [])
        self.assertEqual(found["HOME"], attempt.home)
        self.assertNotIn("CUDA_VISIBLE_DEVICES", found)


class Problems(unittest.TestCase):

    def problem(self, text, kind="docker", **variables):
        return engine_problem.of_text(engine.Engine("/usr/bin/docker", variables, kind), text)

    def test_sentences(self):
        away = "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"
        found = self.problem(away)
        self.assertEqual(found.message, "The Docker engine is not running.")
        self.assertTrue(found.action.startswith("Start Docker") and found.action.endswith("choose another environment."))
        self.assertTrue(found.away)
        found = self.problem(away, DOCKER_HOST="unix:///run/user/7/docker.sock", XDG_RUNTIME_DIR="/run/user/7")
        if sys.platform.startswith("linux"):
            self.assertEqual(found.start, "systemctl --user start docker")
        found = self.problem("error during connect: Get x", DOCKER_HOST="tcp://far:2376")
        self.assertEqual((found.message, found.start), ("The Docker engine at tcp://far:2376 does not answer.", None))
        found = self.problem("docker: permission denied while trying to connect to the Docker daemon socket")
        self.assertIn("the group docker", found.message)
        self.assertIn("choose another environment", found.action)
        self.assertFalse(found.away)
        self.assertIsNone(self.problem("docker: Error response from daemon: No such image: x"))
        self.assertIsNone(self.problem("dial tcp 127.0.0.1:1: connect: connection refused"))
        self.assertIn("does not answer", self.problem(None).message)

    def test_last_words(self):
        self.assertEqual(engine_problem.last_words("docker: Error response from daemon: No such image: x\n\nRun 'docker "
                                                   "run --help' for more information\n"), "No such image: x")
        self.assertEqual(engine_problem.last_words("WARNING: swap\nError: Error: x\n"), "x")
        self.assertEqual(engine_problem.last_words(""), "")


class Tools(unittest.TestCase):

    def wait(self, tool):
        while not tool.poll():
            pass
        return tool

    def test_code_and_both_outputs(self):
        tool = self.wait(Tool(["sh", "-c", "echo out; echo err >&2; exit 3"], 10, errors=True))
        self.assertEqual((tool.code, tool.output, tool.errors, tool.result), (3, "out\n", "err\n", None))
        tool = self.wait(Tool(["sh", "-c", "kill -9 $$"], 10))
        self.assertEqual((tool.code, tool.result), (137, None))
        tool = self.wait(Tool(["sleep", "10"], 0.1, errors=True))
        self.assertEqual((tool.code, tool.result), (None, None))

    def test_what_it_leaves_behind_does_not_keep_it(self):
        tool = self.wait(Tool(["sh", "-c", "sleep 3 & echo $!"], 2))
        self.assertEqual(tool.code, 0)
        os.kill(int(tool.result), 9)

    def test_one_that_writes_elsewhere_or_nothing_more_is_not_waited_for(self):
        with open(os.devnull, "w") as null:
            for words, options in ((["sleep", "0.5"], {"output": null.fileno()}),
                                   (["sh", "-c", "exec >&-; sleep 0.5"], {})):
                tool = Tool(words, 10, **options)
                time.sleep(0.1)
                began = time.monotonic()
                self.assertFalse(tool.poll())
                self.assertLess(time.monotonic() - began, 0.4)
                while not tool.poll():
                    self.assertLess(time.monotonic() - began, 5)
                    time.sleep(0.01)
                self.assertEqual(tool.code, 0)

    def test_close(self):
        tool = Tool(["sleep", "100"], 1000)
        tool.close()
        self.assertTrue(tool.done)
        with self.assertRaises(OSError):
            os.kill(tool.pid, 0)


if __name__ == "__main__":
    unittest.main()
