"""Venvs that are built on the host: once, for whoever waits."""

import os
import signal
import subprocess
import time

from runyard_agent import build_wait, environment_store, processes
from runyard_agent.build_log import masked
from runyard_agent.packages import Packages

from . import snapshots, wheels
from .environments import PYTHON, EnvironmentTest, environment_of, packages_of, read_json, venv_of
from .support import wait_until


class Venv(EnvironmentTest):

    def test_a_venv_is_built_and_found_again(self):
        wheels.make(self.wheels, "tiny", "1.2", ["other>=1"])
        wheels.make(self.wheels, "other", "1.5")
        environment = environment_of(venv_of(self.requirements("tiny==1.2")))
        first = self.ready(environment)
        facts = first.ready.facts
        self.assertEqual((facts["kind"], facts["cached"]), ("venv", False))
        self.assertEqual((packages_of(facts)["tiny"], packages_of(facts)["other"]), ("1.2", "1.5"))
        self.assertGreater(facts["waited_ms"], 100)
        self.assertEqual(first.reasons, ["Building the environment digits:2"])
        place = os.path.dirname(os.path.dirname(first.ready.interpreter))
        self.assertEqual(first.ready.variables["VIRTUAL_ENV"], place)
        self.assertTrue(first.ready.variables["PATH"].startswith(place + "/bin:"))
        self.assertIsNone(first.ready.variables["PYTHONHOME"])
        said = subprocess.check_output([first.ready.interpreter, "-c", "import tiny; print(tiny.VERSION)"],
                                       env=self.variables)
        self.assertEqual(said.strip(), b"1.2")
        log = first.log().decode("utf-8")
        self.assertTrue(log.startswith("Building the venv digits:2 with %s (" % PYTHON), log)
        self.assertIn("\n$ %s -I -m pip install" % first.ready.interpreter, log)
        self.assertIn("Successfully installed", log)
        self.assertTrue(log.splitlines()[-1].startswith("Built in "), log)
        build, = self.builds()
        with open(build.log, "rb") as file:
            self.assertEqual(file.read(), first.log())
        self.assertEqual(os.listdir(self.root + "/environments/tmp"), [])
        self.assertFalse(os.path.exists(build.request))
        again = self.ready(environment)
        self.assertEqual((again.ready.interpreter, again.ready.facts["cached"]), (first.ready.interpreter, True))
        self.assertEqual((again.reasons, again.log()), ([], None))
        packages = Packages(again.attempt, again.ready.facts, [again.ready.interpreter], self.variables)
        self.assertTrue(packages.poll())
        kept = read_json(again.attempt.artifacts + "/environment/environment.json")
        self.assertEqual(kept["packages"], facts["packages"])
        self.assertEqual(set(kept), {"key", "kind", "interpreter", "python", "engine", "image", "image_id",
                                     "image_digest", "built", "cached", "waited_ms", "packages"})

    def test_files_beside_the_requirements(self):
        client = self.connect()
        wheels.make(self.wheels, "tiny", "1.2")
        wheels.make(self.wheels, "near", "2.0")
        with open(self.wheels + "/tiny-1.2-py3-none-any.whl", "rb") as one, \
                open(self.wheels + "/near-2.0-py3-none-any.whl", "rb") as other:
            context = snapshots.send(client, {"wheels/tiny-1.2-py3-none-any.whl": one.read(),
                                              "near-2.0-py3-none-any.whl": other.read()})
        recipe = venv_of("--no-index\n--find-links ./wheels\ntiny\n./near-2.0-py3-none-any.whl\n-c deep/limits.txt\n",
                         context=context)
        recipe["files"]["deep/limits.txt"] = "tiny<2\n"
        waiter = self.ready(environment_of(recipe), blobs=[self.root + "/blobs"])
        found = packages_of(waiter.ready.facts)
        self.assertEqual((found["tiny"], found["near"]), ("1.2", "2.0"))

    def test_files_beside_the_requirements_are_no_modules(self):
        client = self.connect()
        path = wheels.make(self.wheels, "tiny", "1.2")
        with open(path, "rb") as one:
            content = {"tiny-1.2-py3-none-any.whl": one.read()}
        for name in ("random", "logging", "json", "venv", "ensurepip", "pip"):
            content[name + ".py"] = b"raise SystemExit('this is not what was meant')\n"
        recipe = venv_of("--no-index\n--find-links .\ntiny\n", context=snapshots.send(client, content))
        waiter = self.ready(environment_of(recipe), blobs=[self.root + "/blobs"])
        self.assertEqual(packages_of(waiter.ready.facts)["tiny"], "1.2")

    def test_variables_that_would_install_nothing_or_elsewhere(self):
        wheels.make(self.wheels, "tiny", "1.2")
        elsewhere = self.root + "/elsewhere"
        subprocess.check_call([PYTHON, "-m", "venv", "--without-pip", elsewhere])
        variables = dict(self.variables, PIP_DRY_RUN="1", PIP_PYTHON=elsewhere + "/bin/python",
                         PIP_REPORT=self.root + "/report", PIP_REQUIREMENT="/nothing/there.txt")
        waiter = self.finish(self.waiter(environment_of(venv_of(self.requirements("tiny"))), variables=variables))
        self.assertIsNone(waiter.error)
        self.assertEqual(packages_of(waiter.ready.facts)["tiny"], "1.2")
        self.assertFalse(os.path.exists(self.root + "/report"))

    def test_what_pip_says_is_the_error(self):
        waiter = self.finish(self.waiter(environment_of(venv_of(self.requirements("nosuchpkg==9")))))
        self.assertEqual(waiter.error.code, "environment")
        self.assertIn("pip could not install the packages: ", waiter.error.message)
        self.assertIn("No matching distribution found for nosuchpkg==9", waiter.error.message)
        self.assertIn("nosuchpkg", waiter.error.tail)
        self.assertTrue(waiter.log().decode("utf-8").splitlines()[-1].startswith("Failed after "))
        waiter.close()
        self.assertEqual(self.leftovers(), [])
        # It is no answer for who comes later.
        wheels.make(self.wheels, "nosuchpkg", "9")
        self.ready(environment_of(venv_of(self.requirements("nosuchpkg==9"))))

    def test_an_interpreter_that_is_not_there_or_does_not_work(self):
        waiter = self.finish(self.waiter(environment_of(venv_of("", interpreter="/nowhere/python3"))))
        self.assertEqual((waiter.error.code, waiter.error.tail), ("environment", ""))
        self.assertIn("/nowhere/python3 was not found", waiter.error.message)
        broken = os.path.join(self.folder, "python3")
        with open(broken, "w") as file:
            file.write("#!/bin/sh\necho 'no such library' >&2\nexit 1\n")
        os.chmod(broken, 0o755)
        waiter = self.finish(self.waiter(environment_of(venv_of("", interpreter=broken))))
        self.assertIn("does not work: no such library", waiter.error.message)
        with open(broken, "w") as file:
            file.write("#!/bin/sh\necho 3.11.2 none\ncase $2 in virtualenv) exit 1;; esac\n")
        waiter = self.finish(self.waiter(environment_of(venv_of("", interpreter=broken)),
                                         ))
        self.assertIn("can make no venv", waiter.error.message)
        self.assertIn("python3-venv", waiter.error.action)

    def test_secrets_stay_out_of_log_and_arguments(self):
        wheels.make(self.wheels, "tiny")
        requirements = "--index-url https://person:secret1@localhost:1/simple\n" + self.requirements("tiny")
        variables = dict(self.variables, PIP_EXTRA_INDEX_URL="https://person:secret2@localhost:1/simple")
        waiter = self.ready(environment_of(venv_of(requirements)), variables=variables)
        for word in (b"secret1", b"secret2"):
            self.assertNotIn(word, waiter.log())
        self.assertEqual(subprocess.call(["grep", "-rqI", "secret2", self.root]), 1)
        self.assertEqual(masked("at https://person:half@other@host/x, git@host"), "at https://***@host/x, git@host")

    def test_not_to_be_prepared(self):
        waiter = self.finish(self.waiter(environment_of(venv_of(""), prepare=False)))
        self.assertIn("is not built on this host yet", waiter.error.message)
        self.ready(environment_of(venv_of("")))
        self.ready(environment_of(venv_of(""), prepare=False))

    def test_a_hit_starts_and_writes_nothing(self):
        wheels.make(self.wheels, "tiny")
        environment = environment_of(venv_of(self.requirements("tiny")))
        self.ready(environment)
        before = self.snapshot()
        forks, fork = [], os.fork
        os.fork = lambda: forks.append(1) or fork()
        try:
            waiter = self.waiter(environment)
            self.assertTrue(waiter.poll())
        finally:
            os.fork = fork
        self.assertEqual((waiter.error, forks), (None, []))
        self.assertEqual(self.snapshot(), before)
        build, = self.builds()
        os.utime(build.interest, (1, 1))
        self.ready(environment)
        self.assertGreater(os.stat(build.interest).st_mtime, time.time() - 60)

    def snapshot(self):
        found = {}
        for parent, folders, names in os.walk(self.root + "/environments"):
            for name in folders + names:
                status = os.lstat(os.path.join(parent, name))
                found[os.path.join(parent, name)] = (status.st_mtime_ns, status.st_size, status.st_ino)
        return found


class Together(EnvironmentTest):

    def test_one_build_for_all_who_wait(self):
        for count in (2, 10):
            wheels.make(self.wheels, "tiny", "1.%d" % count)
            environment = environment_of(venv_of(self.requirements("tiny==1.%d" % count)))
            waiters = [self.waiter(environment) for _ in range(count)]
            self.finish(*waiters)
            self.assertEqual([waiter.error for waiter in waiters], [None] * count)
            self.assertEqual(len({waiter.ready.interpreter for waiter in waiters}), 1)
            self.assertEqual([waiter.ready.facts["cached"] for waiter in waiters].count(False), 1)
            self.assertEqual(len({waiter.log() for waiter in waiters}), 1)
            reasons = [reason for waiter in waiters for reason in waiter.reasons]
            self.assertEqual(reasons.count("Building the environment digits:2"), 1)
            self.assertIn("Waiting for the environment digits:2, which is being built", reasons)
        self.assertEqual([build.number for build in self.builds()], [1, 1])

    def test_who_comes_late_gets_the_log_from_its_first_line(self):
        environment = environment_of(venv_of(self.requirements(self.slow(3))))
        first = self.waiter(environment)
        self.until(lambda: first.log() and b"pip install" in first.log(), "the build to begin")
        late = self.waiter(environment)
        self.finish()
        build, = self.builds()
        with open(build.log, "rb") as file:
            log = file.read()
        self.assertEqual((first.log(), late.log()), (log, log))

    def test_who_began_it_may_leave(self):
        environment = environment_of(venv_of(self.requirements(self.slow(2))))
        first, second = self.waiter(environment), self.waiter(environment)
        self.until(lambda: first.log() and second.log(), "both to wait")
        first.close()
        self.finish(second)
        self.assertIsNone(second.error)
        self.assertEqual(len(self.builds()), 1)

    def test_when_all_leave_nothing_is_left(self):
        environment = environment_of(venv_of(self.requirements(self.slow())))
        waiters = [self.waiter(environment) for _ in range(3)]
        self.until(lambda: all(waiter.log() for waiter in waiters), "all to wait")
        build, = self.builds()
        self.until(lambda: len(processes.marked(build.mark)) > 2, "the slow package's own process")
        for waiter in waiters:
            waiter.close()
        self.until(lambda: not self.builders(build), "the builder to end", [])
        self.assertEqual((processes.marked(build.mark), self.leftovers()), ({}, []))

    def test_a_killed_builder_is_replaced(self):
        flag = os.path.join(self.folder, "flag")
        wheels.until(self.wheels, "held", flag)
        environment = environment_of(venv_of(self.requirements("held")))
        waiters = [self.waiter(environment) for _ in range(3)]
        self.until(lambda: all(waiter.log() for waiter in waiters), "all to wait")
        build, = self.builds()
        self.until(lambda: os.path.exists(flag + ".reached"), "the package's setup")
        os.kill(self.builders(build)[0].pid, signal.SIGKILL)
        self.until(lambda: [one.number for one in self.builds()] == [2], "another build")
        wait_until(lambda: not processes.marked(build.mark), "what the killed one had started to end")
        with open(flag, "w"):
            pass
        self.finish()
        self.assertEqual([waiter.error for waiter in waiters], [None] * 3)
        build, = self.builds()
        with open(build.log, "rb") as file:
            self.assertEqual({waiter.log() for waiter in waiters}, {file.read()})
        self.assertEqual(os.listdir(self.root + "/environments/tmp"), [])

    def test_a_builder_that_is_killed_again_and_again(self):
        environment = environment_of(venv_of(self.requirements(self.slow())))
        waiter = self.waiter(environment)
        for number in (1, 2, 3):
            self.until(lambda: waiter.poll() or [one.number for one in self.builds()] == [number], "build %d" % number)
            build, = self.builds()
            self.until(lambda: self.builders(build), "the builder")
            os.kill(self.builders(build)[0].pid, signal.SIGKILL)
        self.finish(waiter)
        self.assertIn("was killed 3 times", waiter.error.message)

    def test_a_rebuild_leaves_what_is_in_use(self):
        wheels.make(self.wheels, "tiny", "1.0")
        environment = environment_of(venv_of(self.requirements("tiny")))
        used = self.ready(environment)
        wheels.make(self.wheels, "tiny", "2.0")
        again = build_wait.BuildWait(self.root, environment, [], self.variables, rebuild=True)
        self.until(lambda: again.poll() is not None, "the rebuild")
        self.assertEqual(again.build.number, 2)
        later = self.ready(environment)
        self.assertEqual(packages_of(later.ready.facts)["tiny"], "2.0")
        said = subprocess.check_output([used.ready.interpreter, "-c", "import tiny; print(tiny.VERSION)"],
                                       env=self.variables)
        self.assertEqual(said.strip(), b"1.0")
        again.close()
        used.close()
        third = build_wait.BuildWait(self.root, environment, [], self.variables, rebuild=True)
        self.until(lambda: third.poll() is not None, "the third build")
        third.close()
        wait_until(lambda: [one.number for one in environment_store.builds_of(self.root, third.plan.key)] == [3, 2],
                   "the first one to go")
