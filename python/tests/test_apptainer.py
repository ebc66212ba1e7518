"""Images by Apptainer or Singularity without them: names, keys, arguments, who converts, what is refused; which engine is
chosen. None of this says that a real Apptainer takes the arguments."""

import os
import shutil
import tempfile
import unittest

from runyard_agent import apptainer, container_node, engine
from runyard_agent.atomic import write_json
from runyard_agent.errors import AgentError
from runyard_agent.layout import Attempt
from runyard_agent.locks import try_lock, unlock
from runyard_agent.sif_wait import SifWait
from runyard_agent.unused_environments import UnusedEnvironments

from .support import AgentTest, wait_until


class Names(unittest.TestCase):
    def test_files_and_names(self):
        for image in ("/shared/x.sif", "/shared/sandbox", "~/x.sif", "images/x.sif", "x.sif"):
            self.assertTrue(apptainer.is_file(image), image)
        for image in ("python:3.12-slim", "ghcr.io/a/b", "docker://python:3", "oras://ghcr.io/a/b.sif"):
            self.assertFalse(apptainer.is_file(image), image)
        self.assertEqual(apptainer.source_of("python:3.12-slim"), "docker://python:3.12-slim")
        self.assertEqual(apptainer.source_of("oras://ghcr.io/a/b:1"), "oras://ghcr.io/a/b:1")

    def test_paths(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        open(folder + "/x.sif", "w").close()
        self.assertEqual(apptainer.path_of(folder + "/x.sif", "/code", None), folder + "/x.sif")
        self.assertEqual(apptainer.path_of("~/x.sif", "/code", folder), folder + "/x.sif")
        self.assertEqual(apptainer.path_of("x.sif", folder, None), folder + "/x.sif")
        with self.assertRaises(AgentError) as caught:
            apptainer.path_of("/not/there.sif", folder, None)
        self.assertEqual(caught.exception.code, "not_found")

    def test_keys(self):
        keys = [apptainer.key_of(image) for image in ("python:3.12", "docker://python:3.12", "python:3.11")]
        self.assertEqual(keys[0], keys[1])
        self.assertNotEqual(keys[0], keys[2])
        place = apptainer.place_of("/root", "python:3.12")
        self.assertEqual(place, "/root/environments/sif/%s-%s.sif" % (keys[0], os.uname()[4]))

    def test_argv(self):
        attempt = Attempt("/r", "run", 1)
        argv = apptainer.exec_argv("/bin/apptainer", "/x.sif", attempt, "/r/agent", {}, False)
        self.assertEqual(argv, ["/bin/apptainer", "--quiet", "exec", "--cleanenv", "--no-home", "--bind",
                                "%s:%s" % (attempt.folder, attempt.folder), "--bind", "/r/agent:/r/agent:ro", "/x.sif"])
        argv = apptainer.exec_argv("a", "/x.sif", attempt, "/r/agent", {"network": "none"}, True)
        self.assertEqual(argv[-5:], ["--net", "--network", "none", apptainer.gpu_option(), "/x.sif"])
        self.assertEqual(apptainer.pull_argv("a", "python:3", "/t"),
                         ["a", "pull", "--force", "--disable-cache", "/t", "docker://python:3"])

    def test_folders_that_a_bind_would_divide(self):
        self.assertEqual(apptainer.bind("/a:b,c", True),
                         ["--mount", '"type=bind","src=/a:b,c","dst=/a:b,c","ro"'])
        self.assertEqual(apptainer.bind('/a"b:'), ["--mount", '"type=bind","src=/a""b:","dst=/a""b:"'])

    def test_options(self):
        self.assertEqual(apptainer.check_options("Apptainer", {"arguments": [], "network": None}), [])
        said = apptainer.check_options("Apptainer", {"memory": "8g", "cpus": 2.0, "shm_size": "1g", "network": "none"})
        self.assertEqual([line.split(":")[0] for line in said],
                         ["Apptainer has no memory", "Apptainer has no cpus", "Apptainer has no shmSize"])
        for wrong in ({"arguments": ["--cap-drop", "ALL"]}, {"network": "mine"}):
            with self.assertRaises(AgentError) as caught:
                apptainer.check_options("Apptainer", wrong)
            self.assertEqual(caught.exception.code, "environment")

    def test_gpus(self):
        self.assertTrue(apptainer.wants_gpus("/r", [0], {}, {}))
        self.assertTrue(apptainer.wants_gpus("/r", [], {}, {"SLURM_JOB_GPUS": "0,1"}))
        self.assertFalse(apptainer.wants_gpus("/r", [], {}, {"CUDA_VISIBLE_DEVICES": ""}))

    def test_no_variable_of_the_host_gets_in_by_a_prefix(self):
        kept = apptainer.host_variables({"APPTAINERENV_A": "1", "SINGULARITYENV_A": "1", "APPTAINER_BIND": "/data"})
        self.assertEqual(kept, {"APPTAINER_BIND": "/data"})


class Programs(AgentTest):
    """Which engine is found; the programs are only there, nobody starts them."""

    def found(self, names, order=engine.ORDER, **more):
        folder = tempfile.mkdtemp(dir=self.folder)
        for name in names:
            with open(folder + "/" + name, "w") as file:
                file.write("#!/bin/sh\nexit 1\n")
            os.chmod(folder + "/" + name, 0o755)
        return os.path.basename(engine.find_program(dict(more, PATH=folder), order)[0])

    def test_orders(self):
        every = ["docker", "podman", "apptainer", "singularity"]
        self.assertEqual(self.found(every), "docker")
        self.assertEqual(self.found(every[1:]), "podman")
        self.assertEqual(self.found(every[2:]), "apptainer")
        self.assertEqual(self.found(every, engine.NODE_ORDER), "apptainer")
        self.assertEqual(self.found(["docker", "podman", "singularity"], engine.NODE_ORDER), "singularity")
        self.assertEqual(self.found(["docker", "podman"], engine.NODE_ORDER), "podman")
        self.assertEqual(self.found(["docker"], engine.NODE_ORDER), "docker")
        self.assertEqual(self.found(every, engine.NODE_ORDER, RUNYARD_ENGINE="podman"), "podman")
        for wrong in ({"RUNYARD_ENGINE": "lxc"}, {"RUNYARD_ENGINE": "singularity"}, {}):
            with self.assertRaises(AgentError) as caught:
                self.found(["docker"] if wrong else [], **wrong)
            self.assertEqual(caught.exception.code, "engine")

    def test_that_of_the_run_counts_more(self):
        spec = {"variables": {"RUNYARD_ENGINE": "podman"}}
        self.assertEqual(engine.chosen(spec, {"RUNYARD_ENGINE": "docker", "A": "1"}),
                         {"RUNYARD_ENGINE": "podman", "A": "1"})
        self.assertEqual(engine.chosen({"variables": {}}, {"RUNYARD_ENGINE": "docker"}), {"RUNYARD_ENGINE": "docker"})

    def test_gpus_on_a_node(self):
        self.assertEqual(container_node.gpus([0, 1], {"SLURM_JOB_GPUS": "2,3"}), [2, 3])
        self.assertEqual(container_node.gpus([0], {"SLURM_JOB_GPUS": "a100:0"}), [0])
        self.assertEqual(container_node.gpus([], {}), [])

    def test_variables_on_a_node(self):
        found = container_node.variables({"XDG_RUNTIME_DIR": "/run/user/not-there", "HOME": "/h",
                                          "DBUS_SESSION_BUS_ADDRESS": "unix:path=/run/user/not-there/bus"})
        self.assertEqual(found, {"HOME": "/h"})
        self.assertEqual(container_node.variables({"XDG_RUNTIME_DIR": self.folder}), {"XDG_RUNTIME_DIR": self.folder})


#: Stands in for the conversion only: it says something, and makes the file, or fails.
_PULL = """#!/bin/sh
echo "INFO: $5 $HOW"
[ "$HOW" = bad ] && { echo "FATAL: manifest unknown"; exit 255; }
while [ "$HOW" = slow ]; do sleep 0.05; done
echo image > "$4"
"""


class Conversion(AgentTest):
    """Who converts an image, and what the others see: lock, log, leftovers. The program writes any file."""

    def setUp(self):
        AgentTest.setUp(self)
        os.makedirs(self.folder + "/bin")
        self.program = self.folder + "/bin/apptainer"
        with open(self.program, "w") as file:
            file.write(_PULL)
        os.chmod(self.program, 0o755)
        self.sif = apptainer.folder_of(self.root)

    def wait(self, run, how="good", image="python:3.12"):
        attempt = Attempt(self.root, run, 1)
        os.makedirs(os.path.dirname(attempt.build_log), exist_ok=True)
        where = engine.Engine(self.program, {}, "apptainer", "1.3.4")
        wait = SifWait(attempt, image, where, dict(os.environ, HOW=how))
        wait.log = attempt.build_log
        self.addCleanup(wait.close)
        return wait

    def log(self, wait):
        with open(wait.log) as file:
            return file.read()

    def test_once(self):
        first, second = self.wait("a"), self.wait("b")
        self.assertIsNone(first.poll())
        self.assertEqual(first.reason, "Converting the image python:3.12")
        self.assertIsNone(second.poll())
        self.assertEqual(second.reason, "Waiting for the image python:3.12, which is being converted")
        place = apptainer.place_of(self.root, "python:3.12")
        wait_until(lambda: first.poll() == place, "the image")
        self.assertEqual(second.poll(), place)
        lines = "Converting the image python:3.12 with Apptainer 1.3.4\nINFO: docker://python:3.12 good\n"
        self.assertEqual((self.log(first), self.log(second)), (lines, lines))
        self.assertEqual(sorted(name.rpartition(".")[2] for name in os.listdir(self.sif)), ["lock", "log", "sif"])
        self.assertEqual(self.wait("c").poll(), place)

    def test_a_failure_is_no_answer_for_ever(self):
        wait = self.wait("a", "bad")
        with self.assertRaises(AgentError) as caught:
            wait_until(wait.poll, "its end")
        self.assertEqual(caught.exception.code, "environment")
        self.assertIn("could not be converted: FATAL: manifest unknown", caught.exception.message)
        self.assertIn("FATAL: manifest unknown", caught.exception.tail)
        again = self.wait("b")
        wait_until(again.poll, "the image")

    def test_one_that_is_given_up_leaves_nothing(self):
        first, second = self.wait("a", "slow"), self.wait("b")
        self.assertIsNone(first.poll())
        self.assertIsNone(second.poll())
        first.close()
        self.assertFalse([name for name in os.listdir(self.sif) if ".sif" in name])
        wait_until(second.poll, "the image")

    def test_what_a_killed_one_has_left_goes(self):
        os.makedirs(self.sif)
        part = apptainer.place_of(self.root, "python:3.12") + ".4711"
        open(part, "w").close()
        wait = self.wait("a")
        wait_until(wait.poll, "the image")
        self.assertFalse(os.path.exists(part))

    def test_one_on_another_host_is_waited_for(self):
        os.makedirs(self.sif)
        lock = try_lock(apptainer.place_of(self.root, "python:3.12")[:-4] + ".lock")
        wait = self.wait("a")
        self.assertIsNone(wait.poll())
        unlock(lock)
        wait_until(wait.poll, "the image")

    def test_clean_up(self):
        for image in ("a", "b"):
            wait = self.wait("run-" + image, image=image)
            wait_until(wait.poll, "the image")
        gone = {"environments": 0, "bytes": 0}
        unused = UnusedEnvironments(self.root, gone)
        needed = {"recipe": None, "container": {"image": "docker://a"}}
        for _ in unused.look([(needed, "/none")]):
            pass
        self.assertEqual(len(unused.unused), 1)
        for _ in unused.unused[0].remove(gone):
            pass
        self.assertTrue(os.path.exists(apptainer.place_of(self.root, "a")))
        self.assertFalse(os.path.exists(apptainer.place_of(self.root, "b")))
        self.assertEqual(gone["environments"], 1)
        # One that has come into use since is kept.
        again = UnusedEnvironments(self.root, gone)
        for _ in again.look([]):
            pass
        os.utime(apptainer.place_of(self.root, "a"), (1, 1))
        for _ in again.unused[0].remove(gone):
            pass
        self.assertTrue(os.path.exists(apptainer.place_of(self.root, "a")))


class Left(unittest.TestCase):
    """Which containers on a node are those of jobs that are over."""

    def test_whose(self):
        root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, root)
        for run, state in (("over", "Failed"), ("lives", "Running")):
            attempt = Attempt(root, run, 1)
            os.makedirs(attempt.folder)
            write_json(attempt.spec, {})
            write_json(attempt.status, {"state": state})

        def left(run, number="1", running=True):
            labels = {} if run is None else {"runyard.run": run, "runyard.attempt": number}
            return container_node._is_left({"Id": "x", "Config": {"Labels": labels}, "State": {"Running": running}}, root)

        self.assertTrue(left("over"))
        self.assertTrue(left("deleted"))
        self.assertFalse(left("lives"))
        self.assertFalse(left("over", "x"))
        self.assertFalse(left("../over"))
        self.assertFalse(left(None))
        self.assertTrue(left(None, running=False))


if __name__ == "__main__":
    unittest.main()
