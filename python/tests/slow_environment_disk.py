"""A disk that fills while an environment is built: a small tmpfs under environments/."""

import os
import subprocess
import sys
import unittest

from runyard_agent import processes

from . import wheels
from .environments import EnvironmentTest, environment_of, venv_of
from .test_disk import mount


class FullDisk(EnvironmentTest):

    def setUp(self):
        EnvironmentTest.setUp(self)
        if os.getuid() != 0 or not sys.platform.startswith("linux"):
            raise unittest.SkipTest("mounting a small tmpfs needs root on Linux")
        if not mount(self.root + "/environments", "80m"):
            raise unittest.SkipTest("this machine refuses to mount a tmpfs")

    def tearDown(self):
        for waiter in self.waiters:
            waiter.close()
        subprocess.call(["umount", "-l", self.root + "/environments"])
        EnvironmentTest.tearDown(self)

    def fill(self, leave):
        """Fills the disk up to some bytes; gives the path of what fills it."""
        path = self.root + "/environments/filler"
        free = os.statvfs(self.root + "/environments")
        with open(path, "wb") as file:
            file.write(b"f" * max(0, free.f_bavail * free.f_frsize - leave))
        return path

    def test_in_the_middle_of_a_build(self):
        wheels.make(self.wheels, "large", files={"large.bin": os.urandom(24 << 20)})
        environment = environment_of(venv_of(self.requirements("large")))
        for leave in (1 << 20, 30 << 20, 0):
            path = self.fill(leave)
            waiter = self.finish(self.waiter(environment))
            self.assertIsNotNone(waiter.error, "%d bytes were enough" % leave)
            self.assertEqual(waiter.error.code, "no_space", (leave, waiter.error.message, waiter.log()))
            self.assertIn("The disk of the host is full", waiter.error.message)
            self.assertIn("Free some space", waiter.error.action)
            for build in self.builds():
                self.assertEqual(processes.marked(build.mark), {})
            waiter.close()
            os.unlink(path)
            self.assertEqual(self.leftovers(), [])
        self.ready(environment)
