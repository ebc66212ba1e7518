"""Runs from submit to their end."""

import json
import os
import sys

from . import snapshots
from .client import Refused
from .support import AgentTest, wait_until


class EndToEnd(AgentTest):

    def test_a_run_completes_with_everything_in_its_place(self):
        client = self.connect()
        view, status = self.run_to_end(client, (
            "import os, sys, json, time\n"
            "sys.path[:] = sys.path\n"
            "import runyard\n"
            "runyard.log('loss', 0.5, step=1)\n"
            "runyard.log('loss', float('nan'))\n"
            "runyard.set_tag('a', 1)\n"
            "os.makedirs('outputs/deep'); open('outputs/deep/w.bin', 'wb').write(b'x' * 10)\n"
            "os.makedirs('logs'); open('logs/own.log', 'w').write('own')\n"
            "os.symlink('/etc/passwd', 'outputs/link')\n"
            "print(json.dumps({k: v for k, v in os.environ.items() if 'RUNYARD' in k or 'AZUREML' in k}))\n"
            "print('stdin', repr(sys.stdin.read()), 'session', os.getsid(0) == os.getpid())\n"
            "print('err', file=sys.stderr)\n"
            "time.sleep(0.1)\n"), variables={"MINE": "1", "RUNYARD_X": "y"})
        self.assertEqual(status["state"], "Completed")
        self.assertEqual((status["exit_code"], status["error"], status["signal"]), (0, None, None))
        self.assertEqual(view.states(), ["Queued", "Preparing", "Starting", "Running", "Finalizing", "Completed"])
        events = [json.loads(line) for line in view.text("events.jsonl").splitlines()]
        self.assertEqual([event["n"] for event in events], list(range(1, len(events) + 1)))
        self.assertEqual(events[-1]["exit_code"], 0)
        log = view.text("user_logs/std_log.txt").decode("utf-8").splitlines()
        told = json.loads(log[0])
        run = told["RUNYARD_RUN_ID"]
        self.assertEqual(told["RUNYARD_MARK"], run + "/1")
        self.assertEqual(told["RUNYARD_RUN_DIR"], self.attempt(run).folder)
        self.assertEqual(told["RUNYARD_X"], "y")
        self.assertEqual(told["AZUREML_RUN_ID"], run)
        self.assertEqual(log[1], "stdin '' session True")
        self.assertEqual(log[2], "err")
        self.assertEqual(view.text("logs/own.log"), b"own")
        self.assertEqual([entry["path"] for entry in view.end["files"]],
                         ["environment/environment.json", "logs/own.log", "outputs/deep/w.bin", "user_logs/std_log.txt"])
        self.assertTrue(all(len(entry["sha256"]) == 64 for entry in view.end["files"]))
        journal = [name for name in view.files if name.startswith("journal/")]
        self.assertEqual(len(journal), 1)
        lines = [json.loads(line) for line in view.text(journal[0]).splitlines()]
        self.assertEqual([line["n"] for line in lines], [1, 2, 3])
        self.assertEqual(lines[0]["m"], {"loss": 0.5})
        self.assertEqual(lines[0]["s"], 1)
        self.assertEqual(lines[1]["m"], {"loss": "NaN"})
        self.assertEqual(lines[2]["tags"], {"a": "1"})
        for name, end in view.end["ends"].items():
            self.assertEqual(end["size"], len(view.text(name)), name)
            self.assertEqual(end["generation"], view.files[name][0], name)
        self.assertTrue(view.text("monitor.jsonl"))
        self.assertFalse(os.path.exists(self.attempt(run).environment))
        result, payload = client.answer(client.ask("file.read", {
            "run": run, "attempt": 1, "path": "outputs/deep/w.bin", "offset": 4, "length": 100}))
        self.assertEqual((result["size"], payload), (10, b"x" * 6))
        self.assertEqual(client.call("run.files", {"run": run, "attempt": 1})["files"], view.end["files"])
        for path in ("../status.json", "outputs/link", "outputs/../../status.json", "/etc/passwd", ""):
            with self.assertRaises(Refused) as caught:
                client.call("file.read", {"run": run, "attempt": 1, "path": path, "offset": 0, "length": 9})
            self.assertEqual(caught.exception.code, "bad_request", path)

    def test_an_exception_is_the_error(self):
        view, status = self.run_to_end(self.connect(), "print('start')\nraise ValueError('bad lr')\n")
        self.assertEqual(status["state"], "Failed")
        self.assertEqual(status["exit_code"], 1)
        self.assertEqual(status["error"]["code"], "exit")
        self.assertEqual(status["error"]["message"], "The script failed with exit code 1: ValueError: bad lr")
        self.assertTrue(status["error"]["tail"].endswith("ValueError: bad lr"))

    def test_a_missing_script_or_interpreter_is_said(self):
        client = self.connect()
        _, status = self.run_to_end(client, "", command=[sys.executable, "-u", "other.py"])
        self.assertEqual(status["error"]["code"], "not_found")
        self.assertIn("other.py is not in the snapshot", status["error"]["message"])
        _, status = self.run_to_end(client, "", command=["/nowhere/python3", "main.py"])
        self.assertEqual(status["error"]["code"], "not_found")
        self.assertIn("/nowhere/python3 was not found", status["error"]["message"])
        _, status = self.run_to_end(client, "", command=["./main.py"])
        self.assertEqual(status["error"]["code"], "not_found")
        self.assertIn("cannot be executed", status["error"]["message"])

    def test_shell_and_signals_and_time_limit(self):
        client = self.connect()
        views = [client.watch(self.submit(client, "", command=None, shell=shell, max_seconds=limit))
                 for shell, limit in (("echo $((1+2)); exit 3", None), ("kill -9 $$", None), ("sleep 100", 0.3))]
        status = views[0].wait_end()
        self.assertEqual(views[0].text("user_logs/std_log.txt"), b"3\n")
        self.assertEqual((status["exit_code"], status["error"]["code"]), (3, "exit"))
        status = views[1].wait_end()
        self.assertEqual((status["signal"], status["error"]["code"]), (9, "signal"))
        status = views[2].wait_end()
        self.assertEqual((status["state"], status["error"]["code"]), ("Failed", "time_limit"))

    def test_names_with_spaces_quotes_and_unicode(self):
        client = self.connect()
        name = "a \"b\" 'c' \u00e9\u4e16 $x.py"
        script = u"import sys; print(sys.argv[1:], open('\u00fc/x').read())"
        view, status = self.run_to_end(client, "", files={name: script, "\u00fc/x": "\u00e4"},
                                       command=[sys.executable, "-X", "utf8", name, "--n\u00e4me", "$(x) ;"],
                                       variables={"V": "w\u00e9", "PYTHONIOENCODING": "utf-8", "LC_ALL": "C"}
                                       if sys.version_info >= (3, 7) else {"LC_ALL": "C.UTF-8"})
        self.assertEqual(status["state"], "Completed", view.text("user_logs/std_log.txt"))
        self.assertIn(u"['--n\u00e4me', '$(x) ;'] \u00e4", view.text("user_logs/std_log.txt").decode("utf-8"))

    def test_working_copy(self):
        client = self.connect()
        manifest = snapshots.send(client, {"run.sh": "#!/bin/sh\nls -la; cat link; test -d empty/deep && echo yes\n",
                                           "d/file": "content"}, links={"link": "d/file", "d/up": "../d"},
                                  folders=["empty/deep"])
        spec = snapshots.spec_of(manifest, command=["./run.sh"])
        client.call("run.submit", {"spec": spec})
        view = client.watch(spec["run"])
        self.assertEqual(view.wait_end()["state"], "Completed")
        self.assertTrue(view.text("user_logs/std_log.txt").endswith(b"contentyes\n"))

    def test_submit_twice_and_again_after_the_end(self):
        client = self.connect()
        manifest = snapshots.send(client, {"main.py": "print(1)"})
        spec = snapshots.spec_of(manifest)
        self.assertEqual(client.call("run.submit", {"spec": spec}), {"state": "Queued", "existing": False})
        self.assertTrue(client.call("run.submit", {"spec": spec})["existing"])
        client.watch(spec["run"]).wait_end()
        self.assertEqual(client.call("run.submit", {"spec": spec}), {"state": "Completed", "existing": True})
        again = dict(spec, attempt=2)
        self.assertFalse(client.call("run.submit", {"spec": again})["existing"])
        client.watch(spec["run"], 2).wait_end()
        listed = [(each["run"], each["attempt"], each["status"]["state"])
                  for each in client.call("runs.list")["attempts"]]
        self.assertEqual(listed, [(spec["run"], 1, "Completed"), (spec["run"], 2, "Completed")])
        client.call("run.delete", {"run": spec["run"]})
        self.assertEqual(client.call("runs.list")["attempts"], [])
        wait_until(lambda: os.listdir(self.root + "/runs") == [], "the run's folder to go")

    def test_environment_is_the_submitters(self):
        client = self.connect(env=dict(os.environ, LEAK="serve"))
        manifest = snapshots.send(client, {"main.py": "import os; print(sorted(os.environ))"})
        for inherit, expected in ((True, True), (False, False)):
            spec = snapshots.spec_of(manifest, inherit_environment=inherit)
            client.call("run.submit", {"spec": spec, "environment": {"SUBMITTED": "1", "PATH": os.environ["PATH"]}})
            view = client.watch(spec["run"])
            self.assertEqual(view.wait_end()["state"], "Completed")
            log = view.text("user_logs/std_log.txt").decode("utf-8")
            self.assertNotIn("LEAK", log)
            self.assertEqual("'SUBMITTED'" in log, expected)
            self.assertIn("'PATH'", log)

    def test_delete_of_a_living_run_is_refused(self):
        client = self.connect()
        run = self.submit(client, "import time; time.sleep(100)")
        with self.assertRaises(Refused) as caught:
            client.call("run.delete", {"run": run})
        self.assertEqual(caught.exception.code, "conflict")
        client.call("run.cancel", {"run": run, "attempt": 1, "reason": "tests"})
        self.assertEqual(client.watch(run).wait_end()["state"], "Canceled")


class Refusals(AgentTest):

    def test_bad_specs_leave_nothing(self):
        client = self.connect()
        manifest = snapshots.send(client, {"main.py": ""})
        bad = [dict(run="../x"), dict(run=".x"), dict(run="a" * 256), dict(run=7), dict(attempt=0), dict(attempt=True),
               dict(manifest="x"), dict(command=[]), dict(command=None), dict(shell="x"), dict(command="x"),
               dict(variables={"A": 1}), dict(variables={"A=B": "1"}), dict(resources={"slots": 0}),
               dict(resources={"gpus": 1}), dict(max_seconds="1"), dict(grace_seconds=-1), dict(command=["a\0b"]),
               dict(inherit_environment=1)]
        for members in bad:
            with self.assertRaises(Refused) as caught:
                client.call("run.submit", {"spec": snapshots.spec_of(manifest, **members)})
            self.assertEqual(caught.exception.code, "bad_request", members)
        with self.assertRaises(Refused) as caught:
            client.call("run.submit", {"spec": snapshots.spec_of(manifest, protocol=2)})
        self.assertEqual(caught.exception.code, "unsupported")
        with self.assertRaises(Refused) as caught:
            client.call("run.submit", {"spec": snapshots.spec_of("0" * 64)})
        self.assertEqual(caught.exception.code, "not_found")
        self.assertEqual(os.listdir(self.root + "/runs"), [])

    def test_missing_blobs_are_counted(self):
        client = self.connect()
        manifest, blobs = snapshots.manifest_of({"main.py": "print(1)", "b": "2"})
        import hashlib
        hash = hashlib.sha256(manifest).hexdigest()
        snapshots.put(client, hash, manifest)
        number = client.ask("blobs.missing", {}, "\n".join([hash] + sorted(blobs)).encode("ascii"))
        self.assertEqual(client.answer(number)[1].decode("ascii").split(), sorted(blobs))
        with self.assertRaises(Refused) as caught:
            client.call("run.submit", {"spec": snapshots.spec_of(hash)})
        self.assertEqual(caught.exception.code, "not_found")
        self.assertIn("2 of 2", str(caught.exception))

    def test_blobs_of_another_folder_count(self):
        manifest, blobs = snapshots.manifest_of({"main.py": "print('from there')"})
        import hashlib
        other = os.path.join(self.folder, "store")
        hash = hashlib.sha256(manifest).hexdigest()
        for name, data in dict(blobs, **{hash: manifest}).items():
            os.makedirs(os.path.join(other, name[:2]), exist_ok=True)
            with open(os.path.join(other, name[:2], name[2:]), "wb") as file:
                file.write(data)
        client = self.connect(blobs=other)
        self.assertEqual(client.answer(client.ask("blobs.missing", {}, hash.encode("ascii")))[1], b"")
        spec = snapshots.spec_of(hash)
        client.call("run.submit", {"spec": spec})
        view = client.watch(spec["run"])
        self.assertEqual(view.wait_end()["state"], "Completed")
        self.assertEqual(view.text("user_logs/std_log.txt"), b"from there\n")

    def test_unknown_things(self):
        client = self.connect()
        for method, params, code in (("nope", {}, "unsupported"), ("run.status", {"run": "x", "attempt": 1}, "not_found"),
                                     ("run.status", {"run": "../x", "attempt": 1}, "bad_request"),
                                     ("run.delete", {"run": "x/../y"}, "bad_request"),
                                     ("run.cancel", {"run": "x", "attempt": 1}, "not_found"),
                                     ("watch.stop", {"watch": 9}, "not_found"), ("hello", {"protocol": 9}, "unsupported"),
                                     ("host.configure", {"slots": 0}, "bad_request"),
                                     ("host.configure", {"detach": "docker"}, "bad_request"),
                                     ("host.configure", {"slots": 3, "detach": None}, "bad_request"),
                                     ("host.configure", {"slots": 3, "keep": None}, "bad_request"),
                                     ("host.configure", {"slots": 3, "keep": {"days": -1}}, "bad_request"),
                                     ("host.configure", {"keep": {"days": float("nan")}}, "bad_request"),
                                     ("host.configure", {"keep": {"days": 36501}}, "bad_request"),
                                     ("host.configure", {"keep": {"days": True}}, "bad_request"),
                                     ("host.configure", {"keep": {"bytes": 1.5}}, "bad_request"),
                                     ("host.configure", {"slots": 3, "keep": {"bytes": -1}}, "bad_request"),
                                     ("host.canary", {}, "bad_request"),
                                     ("host.canary.check", {"pid": 1, "start": 1}, "bad_request"),
                                     ("host.canary.check", {"pid": 99999, "start": [1]}, "bad_request"),
                                     ("files.read", {"run": "x", "attempt": 1, "paths": []}, "not_found"),
                                     ("run.collected", {"run": "x", "attempt": 1, "only_here": []}, "not_found")):
            with self.assertRaises(Refused) as caught:
                client.call(method, params)
            self.assertEqual(caught.exception.code, code, (method, params))
        self.assertFalse(os.path.exists(self.root + "/queue/config.json"))

    def test_a_broken_protocol_ends_the_channel(self):
        for junk in (b"\xff" * 64, b"\0\0\0\2\0\0\0\0[]", b"\0\0\0\2\0\0\0\0{}", b"\0\0\0\1\0\0\0\0{"):
            client = self.connect()
            client.process.stdin.write(junk)
            self.assertEqual(client.process.wait(20), 2)
