"""Runs in environments that are built for them, from submit to their end."""

import json

from runyard_agent import processes

from . import snapshots, wheels
from .environments import EnvironmentTest, environment_of, packages_of, venv_of
from .support import wait_until


class Runs(EnvironmentTest):

    def begin(self, client, script, requirements):
        """Submits main.py in a venv; gives its view."""
        spec = snapshots.spec_of(snapshots.send(client, {"main.py": script}), command=["python", "-u", "main.py"],
                                 python=True, environment=environment_of(venv_of(requirements)))
        client.call("run.submit", {"spec": spec, "environment": self.variables})
        return client.watch(spec["run"])

    def test_two_runs_and_one_build(self):
        client = self.connect()
        client.call("host.configure", {"slots": 2})
        wheels.make(self.wheels, "tiny", "1.2")
        views = [self.begin(client, "import tiny; print('tiny', tiny.VERSION)\n", self.requirements("tiny"))
                 for _ in range(2)]
        for view in views:
            status = view.wait_end()
            self.assertEqual((status["state"], status["error"]), ("Completed", None),
                             view.text("user_logs/build_log.txt"))
            self.assertEqual(view.text("user_logs/std_log.txt"), b"tiny 1.2\n")
            log = view.text("user_logs/build_log.txt")
            self.assertTrue(log.startswith(b"Building the venv digits:2 with") and b"\nBuilt in " in log, log)
            self.assertEqual(view.problems, [])
            read = client.answer(client.ask("file.read", {
                "run": view.run, "attempt": 1, "path": "environment/environment.json", "length": 1 << 20}))[1]
            facts = json.loads(read.decode("utf-8"))
            self.assertEqual((facts["kind"], packages_of(facts)["tiny"]), ("venv", "1.2"))
        reasons = [json.loads(line)["reason"] for view in views for line in view.text("events.jsonl").splitlines()]
        self.assertEqual(reasons.count("Building the environment digits:2"), 1)
        self.assertEqual(len(self.builds()), 1)
        wait_until(lambda: not self.builds()[0].is_used(), "the runs to let go")

    def test_a_build_that_fails_and_one_that_is_canceled(self):
        client = self.connect()
        view = self.begin(client, "", self.requirements("nosuchpkg==9"))
        status = view.wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "environment"))
        self.assertIn("No matching distribution found for nosuchpkg==9", status["error"]["message"])
        self.assertIn("nosuchpkg", status["error"]["tail"])
        view = self.begin(client, "", self.requirements(self.slow()))
        client.wait(lambda: b"pip install" in view.text("user_logs/build_log.txt"), "pip")
        build, = self.builds()
        client.call("run.cancel", {"run": view.run, "attempt": 1})
        self.assertEqual(view.wait_end()["state"], "Canceled")
        wait_until(lambda: not self.leftovers() and not processes.marked(build.mark), "nothing to be left")
