"""Images that are built on the host, by a real engine."""

import os
import shutil
import signal
import subprocess
import time
import unittest

from runyard_agent import build_remains, container_options, dockerfile, recipe_image

from . import snapshots, wheels
from .environments import EnvironmentTest, environment_of, packages_of

IMAGE = os.environ.get("RUNYARD_TEST_IMAGE", "debian-python:12")

_CONTAINER = {"image": None, "shm_size": None, "memory": None, "cpus": None, "network": None, "arguments": [],
              "all_gpus": False}


def image_of(text, **members):
    """A recipe of an image; `files` are beside the Dockerfile."""
    files = dict(members.pop("files", {}), Dockerfile=text)
    return environment_of(dict({"kind": "image", "files": files, "context": None, "base": None}, **members),
                          container=_CONTAINER)


class WithEngine(EnvironmentTest):
    """Skipped where no engine runs that has the image."""

    def setUp(self):
        EnvironmentTest.setUp(self)
        self.docker = shutil.which("docker") or shutil.which("podman")
        if self.docker is None or self.call("image", "inspect", IMAGE)[0] != 0:
            raise unittest.SkipTest("no container engine with the image %s" % IMAGE)
        self.label = "runyard.build=" + container_options.root_label(self.root)
        if self.call("run", "--rm", IMAGE, "true")[0] != 0:
            self.variables["PATH"] = self.without_bridge() + ":" + self.variables["PATH"]

    def without_bridge(self):
        """A folder with a docker that builds in the host's network, for an engine that has no other."""
        folder = os.path.join(self.folder, "bin")
        os.mkdir(folder)
        path = os.path.join(folder, os.path.basename(self.docker))
        with open(path, "w") as file:
            file.write('#!/bin/sh\n[ "$1" = build ] && { shift; exec %s build --network host "$@"; }\nexec %s "$@"\n'
                       % (self.docker, self.docker))
        os.chmod(path, 0o755)
        return folder

    def tearDown(self):
        for waiter in self.waiters:
            waiter.close()
        for build in self.builds():
            self.until(lambda: not self.builders(build), "the builders to end", [])
            self.call("rmi", "--force", build.tag)
        self.call("image", "prune", "--force", "--filter", "label=" + self.label)
        EnvironmentTest.tearDown(self)

    def call(self, *words):
        """(exit code, output) of the engine's program."""
        done = subprocess.Popen([self.docker] + list(words), stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        text = done.communicate()[0].decode("utf-8", "replace")
        return done.returncode, text

    def has_begun(self, waiter):
        """Whether the step `RUN sleep 600` of a build is under way."""
        podman = "podman" in self.docker
        return b"sleep 600" in (waiter.log() or b"") and (podman or self.ours()[0])

    def ours(self):
        """What the engine has of this root: containers, and images with or without a name."""
        containers = self.call("ps", "--all", "--quiet", "--filter", "label=" + self.label)[1].split()
        images = self.call("images", "--all", "--quiet", "--filter", "label=" + self.label)[1].split()
        return containers, images


class Image(WithEngine):

    def test_an_image_is_built_and_found_again(self):
        client = self.connect()
        wheels.make(self.wheels, "tiny", "1.2")
        with open(self.wheels + "/tiny-1.2-py3-none-any.whl", "rb") as file:
            context = snapshots.send(client, {"wheels/tiny-1.2-py3-none-any.whl": file.read()})
        environment = image_of(
            "FROM %s AS first\nRUN echo one > /one\nFROM %s\nCOPY --from=first /one /one\n"
            "COPY requirements.txt wheels /wheels/\n"
            "RUN python3 -m pip install --break-system-packages --no-index --find-links /wheels "
            "-r /wheels/requirements.txt\n" % (IMAGE, IMAGE), files={"requirements.txt": "tiny\n"}, context=context)
        waiter = self.ready(environment, blobs=[self.root + "/blobs"])
        build, = self.builds()
        facts = waiter.ready.facts
        self.assertEqual((waiter.ready.image, waiter.ready.interpreter, facts["kind"]), (build.tag, None, "image"))
        self.assertEqual(packages_of(facts)["tiny"], "1.2")
        self.assertEqual(facts["image_id"], self.call("image", "inspect", "--format", "{{.Id}}", build.tag)[1].strip())
        log = waiter.log().decode("utf-8")
        self.assertTrue(log.startswith("Building the image digits:2 with "), log)
        self.assertNotIn("DEPRECATED", log)
        self.assertTrue(log.splitlines()[-1].startswith("Built in "), log)
        self.assertIn(self.call("images", "--quiet", build.tag)[1].strip(),
                      self.call("images", "--quiet", "--filter", "label=runyard.environment=" + build.key)[1].split())
        self.assertTrue(self.ready(environment).ready.facts["cached"])
        for waiter in self.waiters:
            waiter.close()
        for _ in build_remains.take_away(build, ("ready",)):
            time.sleep(0.001)
        self.assertEqual((self.ours(), self.leftovers()), (([], []), []))

    def test_a_failing_step_is_named(self):
        waiter = self.finish(self.waiter(image_of(
            "FROM %s\nRUN echo fine\nRUN echo told; echo 'no such thing' >&2; exit 3\nRUN echo never\n" % IMAGE)))
        self.assertEqual(waiter.error.code, "environment")
        self.assertRegex(waiter.error.message, r"built: RUN echo told; .* failed: |\[\d/\d\] RUN echo told")
        self.assertIn("no such thing", waiter.error.message)
        self.assertNotIn("never", waiter.error.message)
        self.assertIn("no such thing", waiter.error.tail)
        waiter.close()
        self.assertEqual((self.ours(), self.leftovers()), (([], []), []))

    def test_an_image_that_is_not_there_and_a_dockerfile_that_is_none(self):
        waiter = self.finish(self.waiter(image_of("FROM localhost:1/nowhere:7\nRUN true\n")))
        self.assertIn("FROM localhost:1/nowhere:7", waiter.error.message)
        waiter = self.finish(self.waiter(image_of("FROM %s\nINSTALL everything\n" % IMAGE)))
        self.assertIn("INSTALL", waiter.error.message.upper())
        self.assertEqual(self.ours(), ([], []))

    def test_cancel_leaves_nothing(self):
        waiter = self.waiter(image_of("FROM %s\nRUN echo one > /one\nRUN sleep 600\n" % IMAGE))
        self.until(lambda: self.has_begun(waiter), "the step", [waiter])
        build, = self.builds()
        began = time.monotonic()
        waiter.close()
        self.until(lambda: not self.builders(build), "the builder to end", [])
        self.assertLess(time.monotonic() - began, 20)
        self.assertEqual((self.ours(), self.leftovers()), (([], []), []))

    def test_a_killed_builder_leaves_nothing(self):
        waiter = self.waiter(image_of("FROM %s\nRUN echo one > /one\nRUN sleep 600\n" % IMAGE))
        self.until(lambda: self.has_begun(waiter), "the step", [waiter])
        build, = self.builds()
        os.kill(self.builders(build)[0].pid, signal.SIGKILL)
        self.until(lambda: [one.number for one in self.builds()] == [2], "another build", [waiter])
        second, = self.builds()
        self.until(lambda: self.has_begun(waiter), "the step again", [waiter])
        waiter.close()
        self.until(lambda: not self.builders(second), "the builder to end", [])
        self.assertEqual((self.ours(), self.leftovers()), (([], []), []))

    def test_ten_who_wait_for_an_image(self):
        environment = image_of("FROM %s\nRUN date > /date\n" % IMAGE)
        waiters = [self.waiter(environment) for _ in range(10)]
        self.finish(*waiters)
        self.assertEqual({waiter.ready.image if waiter.ready else waiter.error.message for waiter in waiters},
                         {self.builds()[0].tag})
        self.assertEqual(len(self.builds()), 1)

    def test_an_engine_that_is_not_there(self):
        variables = dict(self.variables, DOCKER_HOST="unix:///nowhere/docker.sock",
                         CONTAINER_HOST="unix:///nowhere/podman.sock")
        waiter = self.finish(self.waiter(image_of("FROM %s\n" % IMAGE), variables=variables))
        self.assertEqual(waiter.error.code, "engine")


class Dockerfiles(unittest.TestCase):

    def test_each_stage_gets_a_label(self):
        text = ("# escape=`\n# FROM x\nARG A=1\nfrom --platform=linux/amd64 a:$A as one\nRUN echo `\n  # no\n\n"
                "  FROM nothing\nRUN <<EOF cat\nFROM inside\nEOF\nFROM `\n  b\n  from one\n")
        lines = dockerfile.labelled(text, "x=y").split("\n")
        self.assertEqual([lines[index - 1] for index, line in enumerate(lines) if line == "LABEL x=y"],
                         ["from --platform=linux/amd64 a:$A as one", "  b", "  from one"])
        self.assertEqual("\n".join(line for line in lines if line != "LABEL x=y"), text)

    def test_the_base(self):
        for text, base in (("FROM a\n", "a"), ("FROM a AS b\nFROM b\n", None), ("FROM a:$X\n", None), ("", None),
                           ("FROM a\nFROM --platform=x b/c:1 as d\n", "b/c:1"), ("FROM scratch\n", None)):
            self.assertEqual(dockerfile.base_of(text), base, text)


class Complaints(unittest.TestCase):

    def test_of_buildkit(self):
        log = ("#1 [internal] load build definition from Dockerfile\n#1 DONE 0.0s\n"
               "#5 [1/3] FROM docker.io/library/python:3.12-slim@sha256:abc\n#5 DONE 0.1s\n"
               "#6 [2/3] RUN echo fine\n#6 0.234 fine\n#6 DONE 0.3s\n"
               "#7 [3/3] RUN pip install nosuch\n#7 1.234 ERROR: No matching distribution found for nosuch\n"
               "#7 ERROR: process \"/bin/sh -c pip install nosuch\" did not complete successfully: exit code: 1\n"
               "------\n > [3/3] RUN pip install nosuch:\n1.234 ERROR: No matching distribution found for nosuch\n"
               "------\nERROR: failed to solve: process did not complete successfully: exit code: 1\n").splitlines()
        self.assertEqual(recipe_image.complaint(log), (
            "[3/3] RUN pip install nosuch failed: ERROR: No matching distribution found for nosuch | process \"/bin/sh "
            "-c pip install nosuch\" did not complete successfully: exit code: 1"))

    def test_what_is_pulled(self):
        for lines in (["Step 1/2 : FROM python:3.12-slim", "3.12-slim: Pulling from library/python", "Step 2/2 : RUN x"],
                      ["STEP 1/2: FROM python:3.12-slim", "Trying to pull docker.io/library/python:3.12-slim...",
                       "STEP 2/2: RUN x"],
                      ["#5 [1/2] FROM python:3.12-slim@sha256:abc", "#5 sha256:abc 1.05MB / 29MB 0.2s",
                       "#6 [2/2] RUN x"]):
            said = []

            class Builder(object):
                reason = said.append

            watcher = recipe_image._Watcher(Builder)
            self.assertEqual([watcher(line) for line in lines], [False] * 3)
            self.assertEqual(said, ["Pulling the image python:3.12-slim", None])

    def test_the_advertisement_is_left_out(self):
        watcher = recipe_image._Watcher(None)
        lines = ["DEPRECATED: The legacy builder is deprecated", "            Install the buildx component", "",
                 "Sending build context"]
        self.assertEqual([watcher(line) for line in lines], [True, True, True, False])
