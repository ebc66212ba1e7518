"""Runs in containers while their engine is stopped, started again, or elsewhere; and by podman."""

import json
import os
import shutil
import socket
import time
import unittest

from runyard_agent import container_options
from runyard_agent.atomic import read_json

from .engines import IMAGE, ContainerTest, OwnEngine, docker, environment, needs_docker, needs_dockerd
from .support import wait_until

LONG = "import time\nprint('up')\ntime.sleep(100)\n"


class OwnEngineTest(ContainerTest):
    """Tests with an engine of their own."""

    live_restore = False

    @classmethod
    def setUpClass(cls):
        cls.own = OwnEngine(cls.live_restore).load()
        cls.engine_variables = {"DOCKER_HOST": cls.own.host}

    @classmethod
    def tearDownClass(cls):
        cls.own.close()

    def setUp(self):
        self.own.start()
        ContainerTest.setUp(self)

    def up(self, client, script=LONG, **members):
        """A run that has said `up`."""
        view = self.start(client, script, **members)
        view.wait_log(b"up\n")
        wait_until(lambda: self.status(view.run)["pid"], "the container's process")
        return view

    def wait_away(self, view):
        """Until the run says that its engine is away."""
        wait_until(lambda: "Waiting for the Docker engine" in self.status(view.run)["reason"], "an engine that is away")


@needs_dockerd
class WithoutLiveRestore(OwnEngineTest):

    def test_stopped_for_good(self):
        client = self.connect()
        view = self.up(client)
        self.own.stop()
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "container"))
        self.assertIn("The Docker engine was stopped while the run went on, and ended its container",
                      status["error"]["message"])
        self.assertIn("could not be removed yet", status["reason"])
        self.own.start()
        self.assert_nothing_left(90)

    def test_stopped_and_started(self):
        client = self.connect()
        view = self.up(client)
        self.own.stop()
        self.own.start()
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "container"))
        self.assertIn("The Docker engine was stopped while the run went on", status["error"]["message"])
        self.assert_nothing_left(90)

    def test_killed_and_started(self):
        client = self.connect()
        view = self.up(client)
        self.own.stop(hard=True)
        self.wait_away(view)
        self.own.start()
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "container"))
        self.assert_nothing_left(90)


    def test_cancel_of_a_pull(self):
        # A registry that takes the call and says nothing.
        registry = socket.socket()
        registry.bind(("127.0.0.1", 0))
        registry.listen(8)
        self.addCleanup(registry.close)
        client = self.connect()
        name = "127.0.0.1:%d/runyard-test/slow:1" % registry.getsockname()[1]
        view = self.start(client, environment_of=environment(image=name))
        wait_until(lambda: self.status(view.run)["reason"] == "Pulling the image " + name, "the pull")
        call, _ = registry.accept()
        self.addCleanup(call.close)
        beat = self.status(view.run)["heartbeat"]
        wait_until(lambda: self.status(view.run)["heartbeat"] > beat, "a heartbeat")
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "enough"})
        began = time.monotonic()
        self.assertEqual(view.wait_end()["state"], "Canceled")
        self.assertLess(time.monotonic() - began, 10)
        self.assertEqual(view.text("user_logs/build_log.txt").splitlines()[0], ("Pulling the image " + name).encode())
        self.assert_nothing_left()


@needs_dockerd
class WithLiveRestore(OwnEngineTest):

    live_restore = True

    def test_a_run_goes_on(self):
        client = self.connect()
        views = [self.up(client, "import os, time\nprint('up')\nwhile not os.path.exists('go'): time.sleep(0.1)\n"
                                 "print('went')\n%s" % end) for end in ("", "raise ValueError('late')")]
        self.own.stop()
        for view in views:
            self.wait_away(view)
        # One ends while nobody looks, the other one later.
        open(self.attempt(views[1].run).code + "/go", "w").close()
        views[1].wait_log(b"late")
        self.own.start()
        status = views[1].wait_end()
        self.assertEqual((status["exit_code"], status["error"]["code"]), (1, "exit"))
        wait_until(lambda: self.status(views[0].run)["reason"] == "The command runs", "the engine")
        open(self.attempt(views[0].run).code + "/go", "w").close()
        status = views[0].wait_end()
        self.assertEqual((status["state"], status["exit_code"]), ("Completed", 0))
        self.assert_nothing_left(90)

    def test_cancel_while_the_engine_is_away(self):
        client = self.connect()
        view = self.up(client, grace_seconds=1)
        self.own.stop()
        self.wait_away(view)
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "enough"})
        status = view.wait_end()
        self.assertEqual(status["state"], "Canceled")
        self.assertIn("enough The container %s could not be removed yet: The Docker engine" % view.run,
                      status["reason"])
        self.assertIn("is not running. It is tried again.", status["reason"])
        self.own.start()
        self.assert_nothing_left(90)


@needs_dockerd
class Elsewhere(ContainerTest):

    def test_an_engine_that_does_not_see_the_folders(self):
        # As in docker-outside-of-docker: this path is another folder where the engine runs.
        self.own = OwnEngine(hide=self.folder)
        self.addCleanup(self.own.close)
        self.variables["DOCKER_HOST"] = self.own.host
        client = self.connect(env=dict(os.environ, DOCKER_HOST=self.own.host))
        said = client.call("host.engine.canary")
        self.assertFalse(said["mounts"])
        self.assertIn("does not see the folders of this host", said["problem"])
        self.assertTrue(said["action"])
        self.own.load()
        _, status = self.to_end(client, "")
        self.assertEqual(status["error"]["code"], "engine")
        self.assertIn("does not see the folders of this host", status["error"]["message"])
        self.assert_nothing_left()


@needs_docker
class HostEngine(ContainerTest):

    def test_engine_and_canary(self):
        before = docker("images", "-aq")
        client = self.connect()
        said = client.call("host.engine")
        self.assertEqual((said["kind"], said["running"], said["problem"]), ("docker", True, None))
        image = [image for image in said["images"] if image["name"] == IMAGE][0]
        self.assertGreater(image["bytes"], 1000000)
        self.assertGreater(image["created_at"], 1600000000000)
        self.assertEqual(client.call("host.engine.canary"), {"mounts": True, "problem": None, "action": None})
        self.assertEqual(os.listdir(self.root + "/environments"), ["engine.json"])
        self.assertEqual(self.containers(), [])
        self.assertEqual(sorted(before.split()), sorted(docker("images", "-aq").split()))

    def test_none_and_one_that_does_not_run(self):
        client = self.connect(env=dict(os.environ, DOCKER_HOST="unix://%s/none.sock" % self.folder))
        said = client.call("host.engine")
        self.assertEqual((said["kind"], said["running"]), ("docker", False))
        self.assertIn("is not running", said["problem"])
        self.assertIn("Start Docker", said["action"])
        client = self.connect(env=dict(os.environ, PATH=self.folder))
        self.assertEqual(client.call("host.engine")["kind"], None)
        self.assertFalse(client.call("host.engine.canary")["mounts"])


PODMAN = shutil.which("podman")


def _podman_conf(folder):
    """A configuration by which podman also works without the right to raise limits."""
    path = folder + "/containers.conf"
    with open(path, "w") as file:
        file.write('[containers]\ndefault_ulimits=["nofile=20000:20000","nproc=1000:1000"]\n')
    return path


def _has_podman():
    return PODMAN is not None and docker("image", "inspect", IMAGE, program="podman") is not None


@unittest.skipUnless(_has_podman(), "no container engine podman with the image %s" % IMAGE)
class Podman(ContainerTest):

    program = "podman"

    def setUp(self):
        ContainerTest.setUp(self)
        # docker is podman here, as with the package podman-docker.
        os.makedirs(self.folder + "/bin")
        with open(self.folder + "/bin/docker", "w") as file:
            file.write("#!/bin/sh\nexec %s \"$@\"\n" % PODMAN)
        os.chmod(self.folder + "/bin/docker", 0o755)
        self.variables = {"PATH": self.folder + "/bin:" + os.environ["PATH"], "HOME": os.environ.get("HOME", "/"),
                          "CONTAINERS_CONF": _podman_conf(self.folder)}

    def test_runs(self):
        client = self.connect()
        log, status = self.to_end(client, "import os\nprint(os.getcwd(), os.environ['V'])\nopen('x', 'w')",
                                  variables={"V": "it's"})
        attempt = self.attempt(self.runs[0])
        self.assertEqual((log, status["state"]), ("%s it's\n" % attempt.code, "Completed"))
        self.assertEqual(os.stat(attempt.code + "/x").st_uid, os.getuid())
        facts = read_json(attempt.artifacts + "/environment/environment.json")
        self.assertEqual(facts["engine"], "podman")
        self.assertIn("pip", [package["name"] for package in facts["packages"]])
        _, status = self.to_end(client, "raise SystemExit(3)")
        self.assertEqual(status["exit_code"], 3)
        view = self.start(client, LONG, grace_seconds=1)
        view.wait_log(b"up\n")
        client.call("run.cancel", {"run": view.run, "attempt": 1, "reason": "enough"})
        self.assertEqual(view.wait_end()["state"], "Canceled")
        self.assert_nothing_left()

    def test_ends(self):
        client = self.connect()
        view = self.start(client, LONG)
        view.wait_log(b"up\n")
        self.ask("kill", view.run)
        self.assertEqual(view.wait_end()["error"]["message"], "The container was killed from outside (SIGKILL).")
        view = self.start(client, LONG)
        view.wait_log(b"up\n")
        self.ask("rm", "-f", "-t", "0", view.run)
        self.assertEqual(view.wait_end()["error"]["code"], "container")
        view = self.start(client, LONG, grace_seconds=1)
        view.wait_log(b"up\n")
        os.kill(self.status(view.run)["supervisor"]["pid"], 9)
        self.assertEqual(view.wait_end()["error"]["code"], "supervisor_lost")
        _, status = self.to_end(client, "", environment_of=environment(image="127.0.0.1:1/none:1"))
        self.assertEqual(status["error"]["code"], "environment")
        self.assertIn("could not be pulled", status["error"]["message"])
        self.assert_nothing_left()

    def test_out_of_memory_and_missing_folders(self):
        client = self.connect()
        _, status = self.to_end(client, "x = bytearray(1 << 28)\nprint(len(x))", environment_of=environment(
            memory="64m", arguments=["--memory-swap", "64m"]))
        self.assertEqual(status["error"]["code"], "out_of_memory", status)
        _, status = self.to_end(client, "", environment_of=environment(
            arguments=["--mount", container_options.mount(self.root + "/none")]))
        self.assertEqual(status["error"]["code"], "engine", status)
        _, status = self.to_end(client, "", environment_of=environment(
            arguments=["--mount", container_options.mount("/not/there")]))
        self.assertEqual(status["error"]["code"], "environment", status)
        self.assertIn("/not/there", status["error"]["message"])
        self.assert_nothing_left()

    def test_host_engine(self):
        client = self.connect(env=dict(os.environ, **self.variables))
        said = client.call("host.engine")
        self.assertEqual((said["kind"], said["running"], said["rootless"]), ("podman", True, os.getuid() != 0))
        self.assertTrue(any(image["name"].endswith(IMAGE) for image in said["images"]), json.dumps(said))
        self.assertEqual(client.call("host.engine.canary"), {"mounts": True, "problem": None, "action": None})


if __name__ == "__main__":
    unittest.main()
