"""Environments through the channel: building for a person who watches, listing, removing, cleaning up."""

import os
import signal
import time

from runyard_agent import processes
from runyard_agent.environment_store import all_keys, builds_of

from . import snapshots, wheels
from .client import Refused
from .environments import EnvironmentTest, environment_of, packages_of, venv_of
from .support import wait_until

DAY = 86400.0


class Channel(EnvironmentTest):

    def setUp(self):
        EnvironmentTest.setUp(self)
        self.client = self.connect()

    def build(self, environment, client=None, **members):
        """Begins a build; gives (key, number)."""
        begun = (client or self.client).call("environment.build", dict(
            {"environment": environment, "variables": self.variables}, **members))
        return begun["key"], begun["build"]

    def follow(self, name, client=None):
        """(the last answer, the whole log)."""
        client, log = client or self.client, b""
        while True:
            answer, data = client.answer(client.ask("environment.poll", {"key": name[0], "build": name[1],
                                                                         "offset": len(log)}))
            log += data
            if answer["state"] != "building" and len(log) == answer["size"]:
                return answer, log
            time.sleep(0.05)

    def release(self, name):
        self.client.call("environment.release", {"key": name[0], "build": name[1]})

    def builder_of(self, name):
        return self.builders(next(one for one in builds_of(self.root, name[0]) if one.number == name[1]))


class Methods(Channel):

    def test_build_poll_list_remove(self):
        wheels.make(self.wheels, "tiny", "1.2")
        environment = environment_of(venv_of(self.requirements("tiny")))
        name = self.build(environment)
        self.assertEqual(self.build(environment), name)
        answer, log = self.follow(name)
        self.assertEqual((answer["state"], answer["error"], packages_of(answer["facts"])["tiny"]),
                         ("ready", None, "1.2"), answer)
        self.assertTrue(log.startswith(b"Building the venv digits:2 with"))
        self.assertTrue(log.splitlines()[-1].startswith(b"Built in"))
        listed, = self.client.call("environments.list")["environments"]
        self.assertEqual({key: listed[key] for key in ("key", "hash", "name", "version", "kind", "state", "image")},
                         {"key": name[0], "hash": "ab" * 32, "name": "digits", "version": 2, "kind": "venv",
                          "state": "ready", "image": None})
        self.assertEqual((listed["in_use"], listed["packages"]), (2, len(answer["facts"]["packages"])))
        self.assertGreater(listed["bytes"], 1000000)
        for _ in range(2):
            with self.assertRaises(Refused) as caught:
                self.client.call("environment.remove", {"key": name[0]})
            self.assertEqual(caught.exception.code, "conflict")
            self.release(name)
        self.assertEqual(self.client.call("environments.list")["environments"][0]["in_use"], 0)
        self.client.call("environment.remove", {"key": name[0]})
        self.assertEqual((self.client.call("environments.list")["environments"], self.leftovers()), ([], []))
        with self.assertRaises(Refused) as caught:
            self.client.call("environment.remove", {"key": name[0]})
        self.assertEqual(caught.exception.code, "not_found")

    def test_what_is_refused(self):
        for environment, code in ((None, "bad_request"), (environment_of(None), "bad_request"),
                                  (environment_of(venv_of("", context="ab" * 32)), "not_found"),
                                  (environment_of(venv_of("", interpreter="/nowhere/python")), "environment")):
            with self.assertRaises(Refused) as caught:
                self.build(environment)
            self.assertEqual(caught.exception.code, code)
        for key in ("x", "../x", None):
            with self.assertRaises(Refused) as caught:
                self.client.call("environment.remove", {"key": key})
            self.assertEqual(caught.exception.code, "bad_request")
        self.assertEqual(self.leftovers(), [])

    def test_the_files_of_a_submitted_environment_must_be_here(self):
        manifest = snapshots.send(self.client, {"main.py": ""})
        spec = snapshots.spec_of(manifest, environment=environment_of(venv_of("", context="ab" * 32)), python=True)
        with self.assertRaises(Refused) as caught:
            self.client.call("run.submit", {"spec": spec})
        self.assertEqual(caught.exception.code, "not_found")
        self.assertIn("the environment's files", str(caught.exception))

    def test_failed_and_canceled(self):
        name = self.build(environment_of(venv_of(self.requirements("nosuchpkg"))))
        answer, log = self.follow(name)
        self.assertEqual((answer["state"], answer["facts"]), ("failed", None))
        self.assertIn("No matching distribution found for nosuchpkg", answer["error"]["message"])
        self.assertIn("nosuchpkg", answer["error"]["tail"])
        self.assertTrue(log.splitlines()[-1].startswith(b"Failed after"))
        self.release(name)
        self.assertEqual(self.leftovers(), [])
        name = self.build(environment_of(venv_of(self.requirements(self.slow()))))
        build, = self.builds()
        wait_until(lambda: len(processes.marked(build.mark)) > 1, "pip")
        self.release(name)
        wait_until(lambda: not self.leftovers(), "nothing to be left")
        self.assertEqual(processes.marked(build.mark), {})
        self.assertEqual(self.follow(name)[0]["state"], "canceled")

    def test_when_the_channel_ends_its_builds_end(self):
        name = self.build(environment_of(venv_of(self.requirements(self.slow()))))
        # Its command line says what it is as soon as it is itself.
        wait_until(lambda: self.builder_of(name), "the builder")
        builder, = self.builder_of(name)
        self.client.kill()
        wait_until(lambda: not processes.is_alive(builder.pid, builder.start) and not self.leftovers(), "the end")

    def test_a_rebuild(self):
        wheels.make(self.wheels, "tiny", "1.0")
        environment = environment_of(venv_of(self.requirements("tiny")))
        first = self.build(environment)
        self.follow(first)
        wheels.make(self.wheels, "tiny", "2.0")
        self.assertEqual(self.build(environment), first)
        self.release(first)
        second = self.build(environment, rebuild=True)
        self.assertEqual(second, (first[0], 2))
        self.assertEqual(packages_of(self.follow(second)[0]["facts"])["tiny"], "2.0")
        # The first is still of interest.
        self.assertEqual([build.number for build in self.builds()], [2, 1])
        self.release(first)
        gone = self.client.call("host.clean")
        self.assertEqual((gone["environments"], [build.number for build in self.builds()]), (1, [2]))


class CleanUp(Channel):

    def made(self, *versions):
        """Environments that nobody uses; gives their builds."""
        found = []
        for version in versions:
            wheels.make(self.wheels, "tiny", version)
            waiter = self.ready(environment_of(venv_of(self.requirements("tiny==" + version))))
            found.append(waiter.wait._build.build)
            waiter.close()
        return found

    @staticmethod
    def age(build, days):
        moment = time.time() - days * DAY
        os.utime(build.interest, (moment, moment))

    def test_by_age_and_by_room(self):
        old, young, older = self.made("1.0", "1.1", "1.2")
        self.age(old, 15)
        self.age(young, 13)
        used = self.ready(environment_of(venv_of(self.requirements("tiny==1.2"))))
        self.age(older, 100)
        gone = self.client.call("host.clean")
        self.assertEqual(gone["environments"], 1)
        self.assertGreater(gone["bytes"], 1000000)
        self.assertEqual(all_keys(self.root), sorted([young.key, older.key]))
        self.client.call("host.configure", {"keep": {"bytes": 0}})
        self.assertEqual(self.client.call("host.clean")["environments"], 1)
        self.assertEqual(all_keys(self.root), [older.key])
        used.close()
        # Its end was a use.
        self.client.call("host.configure", {"keep": {"bytes": 1 << 40}})
        self.assertEqual(self.client.call("host.clean")["environments"], 0)
        self.client.call("host.configure", {"keep": {"days": 0}})
        self.assertEqual(self.client.call("host.clean")["environments"], 1)
        self.assertEqual(self.leftovers(), [])

    def test_what_a_waiting_run_needs_stays(self):
        needed, other = self.made("1.0", "1.1")
        flag = os.path.join(self.folder, "flag")
        self.client.call("host.configure", {"slots": 1, "keep": {"days": 0}})
        first = self.submit(self.client, "import os, time\nwhile not os.path.exists(%r): time.sleep(0.02)\n" % flag)
        self.client.watch(first).wait_state("Running")
        manifest = snapshots.send(self.client, {"main.py": "print(1)"})
        spec = snapshots.spec_of(manifest, environment=environment_of(venv_of(self.requirements("tiny==1.0"))))
        self.client.call("run.submit", {"spec": spec, "environment": self.variables})
        try:
            self.assertEqual(self.client.call("host.clean")["environments"], 1)
            self.assertEqual(all_keys(self.root), [needed.key])
        finally:
            self.client.call("run.cancel", {"run": spec["run"], "attempt": 1})
            with open(flag, "w"):
                pass
        self.client.watch(first).wait_end()

    def test_what_a_killed_builder_left_goes_with_the_next_serve(self):
        name = self.build(environment_of(venv_of(self.requirements(self.slow()))))
        build, = self.builds()
        wait_until(lambda: len(processes.marked(build.mark)) > 2, "the slow package")
        builder, = self.builder_of(name)
        self.client.process.send_signal(signal.SIGSTOP)  # it would notice, and let the builder end
        os.kill(builder.pid, signal.SIGKILL)
        self.client.kill()
        self.assertTrue(self.leftovers())
        self.connect()
        wait_until(lambda: not self.leftovers() and not processes.marked(build.mark), "nothing to be left")
