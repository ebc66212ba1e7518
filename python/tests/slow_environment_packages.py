"""The packages that a run finds: listed beside it, and kept."""

import os
import sys
import time

from runyard_agent.environment_wait import EnvironmentWait
from runyard_agent.packages import Packages

from . import wheels
from .environments import EnvironmentTest, Waiter, environment_of, packages_of, read_json


class Listing(EnvironmentTest):

    def listed(self, facts=None, argv=None, variables=None):
        """environment.json after the end, and whether something had to be asked."""
        waiter = Waiter(self.root, environment_of(None))
        packages = Packages(waiter.attempt, dict(waiter.wait.poll().facts, **(facts or {})), argv or [sys.executable],
                            variables or self.variables)
        path = waiter.attempt.artifacts + "/environment/environment.json"
        self.assertTrue(os.path.exists(path))
        asked = not packages.poll()
        end = time.monotonic() + 60
        while not packages.poll() and time.monotonic() < end:
            time.sleep(0.02)
        return read_json(path), asked

    def folder_of(self, *versions):
        """A folder of packages for PYTHONPATH."""
        import zipfile
        place = os.path.join(self.folder, "packages")
        for version in versions:
            with zipfile.ZipFile(wheels.make(self.wheels, "tiny", version)) as archive:
                archive.extractall(place)
        return place

    def test_once_for_an_interpreter_and_its_folders(self):
        variables = dict(self.variables, PYTHONPATH=self.folder_of("1.0"))
        first, asked = self.listed(variables=variables)
        self.assertTrue(asked)
        self.assertEqual((packages_of(first)["tiny"], first["kind"]), ("1.0", "system"))
        self.assertEqual(first["python"], "%d.%d.%d" % sys.version_info[:3])
        again, asked = self.listed(variables=variables)
        self.assertFalse(asked)
        self.assertEqual(again["packages"], first["packages"])
        wheels.make(self.wheels, "other", "2.0")
        self.folder_of("1.0")
        os.mkdir(os.path.join(self.folder, "packages", "other-2.0.dist-info"))
        with open(os.path.join(self.folder, "packages", "other-2.0.dist-info", "METADATA"), "w") as file:
            file.write("Metadata-Version: 2.1\nName: other\nVersion: 2.0\n")
        changed, asked = self.listed(variables=variables)
        self.assertTrue(asked)
        self.assertEqual(packages_of(changed)["other"], "2.0")

    def test_once_for_an_image(self):
        program = os.path.join(self.folder, "engine")
        with open(program, "w") as file:
            file.write("#!/bin/sh\necho noise\nexec %s \"$@\"\n" % sys.executable)
        os.chmod(program, 0o755)
        facts = {"image": "x:1", "image_id": "sha256:" + "ab" * 32}
        first, asked = self.listed(facts, [program])
        self.assertTrue(asked and first["packages"])
        again, asked = self.listed(facts, [program])
        self.assertEqual((again["packages"], asked), (first["packages"], False))

    def test_nothing_that_goes_wrong_matters(self):
        for argv in (["/nowhere/python"], ["/bin/false"], ["/bin/echo", "RUNYARD-PACKAGES {"]):
            facts, _ = self.listed(argv=argv)
            self.assertIsNone(facts["packages"])
        waiter = Waiter(self.root, environment_of(None))
        with open(waiter.attempt.artifacts + "/environment", "w"):
            pass
        packages = Packages(waiter.attempt, {"packages": []}, None, {})
        self.assertTrue(packages.poll())
        packages.close()

    def test_as_the_host_is(self):
        for members, interpreter, kind in (({}, None, "system"),
                                           ({"interpreter": sys.executable}, sys.executable, "interpreter")):
            ready = self.ready(environment_of(None, **members)).ready
            self.assertEqual((ready.interpreter, ready.image, ready.variables, ready.facts["kind"]),
                             (interpreter, None, {}, kind))
        waiter = Waiter(self.root, environment_of(None))
        wait = EnvironmentWait(waiter.attempt, None, [], self.variables)
        self.assertEqual(wait.poll().facts["kind"], "system")
        waiter = self.finish(self.waiter(environment_of(None, interpreter="nosuchpython")))
        self.assertIn("nosuchpython was not found", waiter.error.message)
        container = {"image": "python:3.12-slim", "arguments": []}
        self.assertEqual(self.ready(environment_of(None, container=container)).ready.image, "python:3.12-slim")
