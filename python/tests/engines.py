"""Container engines for the tests: the one of DOCKER_HOST or of the host, podman, and engines of their own."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from . import snapshots
from .support import AgentTest, alive, wait_until

#: An image with a Python; tests need nothing else of it.
IMAGE = os.environ.get("RUNYARD_TEST_IMAGE", "debian-python:12")

#: The variables by which an engine is found.
_PLACE = ("DOCKER_HOST", "DOCKER_CONFIG", "DOCKER_CONTEXT", "CONTAINERS_CONF")


def docker(*words, **options):
    """The output of the engine's program; None when it fails."""
    found = subprocess.run([options.get("program", "docker")] + list(words), stdout=subprocess.PIPE,
                           stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=options.get("env"))
    return found.stdout.decode("utf-8", "replace").strip() if found.returncode == 0 else None


def has_docker():
    """Whether there is an engine with the image."""
    return shutil.which("docker") is not None and docker("image", "inspect", IMAGE) is not None


def needs_docker(test):
    """Skips a test (class) where there is no engine."""
    return unittest.skipUnless(has_docker(), "no container engine with the image %s" % IMAGE)(test)


def environment(**members):
    """`spec.environment` of a container; `members` are those of `container`."""
    container = {"image": IMAGE, "shm_size": None, "memory": None, "cpus": None, "network": "none", "arguments": [],
                 "all_gpus": False}
    container.update(members)
    return {"hash": "ef" * 32, "name": None, "version": None, "label": container["image"], "recipe": None,
            "conda_environment": None, "interpreter": None, "container": container, "prepare": True}


class ContainerTest(AgentTest):
    """A test of runs in containers: none of them is left behind."""

    engine_variables = {}
    program = "docker"

    def setUp(self):
        AgentTest.setUp(self)
        self.variables = dict({name: os.environ[name] for name in _PLACE if name in os.environ},
                              PATH=os.environ["PATH"], HOME=self.folder)
        self.variables.update(self.engine_variables)
        self.runs = []

    def ask(self, *words):
        """The output of the engine's program for this test's engine."""
        return docker(*words, program=self.program, env=dict(os.environ, **self.variables))

    def containers(self):
        """The names of this test's containers, in any state."""
        from runyard_agent.container_options import root_label
        out = self.ask("ps", "-a", "--filter", "label=runyard.root=" + root_label(self.root), "--format", "{{.Names}}")
        return [] if out is None else out.split()

    def start(self, client, script="", environment_of=None, **members):
        """Submits main.py to run in a container; gives its WatchView."""
        files = dict(members.pop("files", {}), **{"main.py": script})
        options = dict({"command": ["python", "main.py"], "python": members.get("shell") is None,
                        "environment": environment_of or environment()}, **members)
        if members.get("shell") is not None:
            options["command"] = None
        spec = snapshots.spec_of(snapshots.send(client, files), **options)
        client.call("run.submit", {"spec": spec, "environment": self.variables})
        self.runs.append(spec["run"])
        return client.watch(spec["run"])

    def to_end(self, client, *arguments, **members):
        """`(log, last status)` of a run in a container."""
        view = self.start(client, *arguments, **members)
        status = view.wait_end()
        self.assertEqual(view.problems, [])
        self.view = view
        return view.text("user_logs/std_log.txt").decode("utf-8", "replace"), status

    def assert_nothing_left(self, seconds=20):
        """No container, and none of the files that stand for one."""
        wait_until(lambda: self.containers() == [], "no container", seconds)
        for run in self.runs:
            wait_until(lambda: not os.path.exists(self.attempt(run).container), "no container.json", seconds)
            for path in (self.attempt(run).container_script, self.attempt(run).container_began,
                         self.attempt(run).environment):
                self.assertFalse(os.path.exists(path), path)

    def tearDown(self):
        for name in self.containers():
            self.ask("rm", "-f", name)
        AgentTest.tearDown(self)


class OwnEngine(object):
    """A dockerd of the test's own, which may be stopped and started; with the image."""

    def __init__(self, live_restore=False, hide=None):
        self.folder = tempfile.mkdtemp(prefix="runyard-engine-")
        self.host = "unix://%s/docker.sock" % self.folder
        self.process = None
        self._live_restore = live_restore
        self._hide = hide
        self.start()

    def start(self):
        """Starts it, unless it runs, and waits until it answers."""
        if self.process is not None and self.process.poll() is None:
            return
        words = ["dockerd", "--data-root", self.folder + "/data", "--exec-root", self.folder + "/exec", "-H", self.host,
                 "--pidfile", self.folder + "/pid", "--bridge=none", "--iptables=false"]
        words += ["--live-restore"] if self._live_restore else []
        if self._hide is not None:
            # Where the engine runs, another folder is in this place.
            words = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none "$0" && exec "$@"', self._hide] + words
        with open(self.folder + "/log", "ab") as log:
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        wait_until(lambda: self.ask("version") is not None, "the test's own engine", 60)

    def ask(self, *words):
        """The output of docker for this engine."""
        return docker(*words, env=dict(os.environ, DOCKER_HOST=self.host))

    def load(self):
        """Gives it the image."""
        save = subprocess.Popen(["docker", "save", IMAGE], stdout=subprocess.PIPE)
        subprocess.run(["docker", "-H", self.host, "load"], stdin=save.stdout, stdout=subprocess.DEVNULL, check=True)
        save.stdout.close()
        save.wait()
        return self

    def stop(self, hard=False):
        """Ends it by SIGTERM, or SIGKILL."""
        self.process.kill() if hard else self.process.terminate()
        self.process.wait(60)
        if hard:
            # Its helper would keep the next one from starting; the containers' own guardians (shims) live on.
            helper = self.folder + "/exec/containerd/containerd.pid"
            with open(helper) as file:
                pid = int(file.read())
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda: not alive(pid), "the end of containerd")
            for path in (helper, self.folder + "/pid", self.folder + "/docker.sock"):
                if os.path.exists(path):
                    os.unlink(path)

    def close(self):
        """Ends it with everything in it."""
        self.start()
        for name in (self.ask("ps", "-aq") or "").split():
            self.ask("rm", "-f", name)
        self.stop()
        time.sleep(0.5)
        with open("/proc/mounts") as file:
            places = [line.split()[1] for line in file]
        for place in sorted(places, reverse=True):
            if place.startswith(self.folder + "/"):
                subprocess.run(["umount", place])
        shutil.rmtree(self.folder, ignore_errors=True)


def has_dockerd():
    """Whether tests can have an engine of their own."""
    return has_docker() and shutil.which("dockerd") is not None and os.getuid() == 0


def needs_dockerd(test):
    """Skips a test (class) where no engine of its own can be started."""
    return unittest.skipUnless(has_dockerd(), "no container engine of its own: needs root and dockerd")(test)
