"""Outputs: many files in one reply, what was collected, and paths of every kind."""

import json
import os

from .client import Refused
from .support import AgentTest, wait_until

LIMIT = 1 << 20


class Files(AgentTest):

    def read(self, client, run, paths):
        result, data = client.answer(client.ask("files.read", {"run": run, "attempt": 1, "paths": paths}))
        found, at = [], 0
        for size in result["sizes"]:
            if size is None or size < 0:
                found.append(size)
            else:
                found.append(data[at:at + size])
                at += size
        self.assertEqual(at, len(data))
        return found

    def refused(self, code, client, method, params):
        with self.assertRaises(Refused) as caught:
            client.call(method, params)
        self.assertEqual(caught.exception.code, code, params)

    def test_many_whole_files_in_one_reply(self):
        client = self.connect()
        view, _ = self.run_to_end(client, (
            "import os\nos.makedirs('outputs/closed')\nos.makedirs('logs')\n"
            "for i in range(1500): open('outputs/%%04d' %% i, 'w').write(str(i))\n"
            "open('logs/empty', 'w').close()\n"
            "open('outputs/limit', 'wb').write(b'l' * %d)\nopen('outputs/over', 'wb').write(b'o' * %d)\n"
            "open('outputs/half', 'wb').write(b'h' * %d)\n"
            "os.symlink('/etc/passwd', 'outputs/out')\nos.symlink('/etc', 'outputs/etc')\n"
            "os.symlink('0007', 'outputs/in')\nos.mkfifo('outputs/pipe')\nprint('log')\n"
            % (LIMIT, LIMIT + 1, LIMIT // 2 + 1)))
        run = view.run
        paths = ["outputs/%04d" % i for i in range(1500)]
        self.assertEqual(self.read(client, run, paths), [str(i).encode("ascii") for i in range(1500)])
        self.assertEqual(self.read(client, run, []), [])
        odd = ["logs/empty", "outputs/over", "outputs/gone", "outputs/out", "outputs/etc/passwd", "outputs/in",
               "outputs/pipe", "outputs/closed", "nothing", "user_logs/std_log.txt"]
        self.assertEqual(self.read(client, run, odd), [b"", -1, None, None, None, b"7", None, None, None, b"log\n"])
        # What has no room any more is asked for again; what comes alone always has.
        found = self.read(client, run, ["outputs/half", "outputs/over", "outputs/half", "outputs/0001"])
        self.assertEqual((len(found), found[1]), (2, -1))
        self.assertEqual(self.read(client, run, ["outputs/0001", "outputs/limit"]), [b"1"])
        self.assertEqual(self.read(client, run, ["outputs/limit", "logs/empty", "outputs/0001"]),
                         [b"l" * LIMIT, b""])
        # As many names as a header holds: their sizes fit into one as well.
        self.assertEqual(set(self.read(client, run, ["a"] * 200000)), {None})
        for bad in (["outputs/0001", "../status.json"], ["/etc/passwd"], [""], ["outputs//0001"], ["outputs/./0001"],
                    ["outputs/../../status.json"], [7], ["outputs/\0"], ["outputs/\ud800"], "outputs/0001", None):
            self.refused("bad_request", client, "files.read", {"run": run, "attempt": 1, "paths": bad})

    def test_what_was_collected_is_kept(self):
        client = self.connect()
        flag = os.path.join(self.folder, "flag")
        run = self.submit(client, "import os, time\nwhile not os.path.exists(%r): time.sleep(0.01)\n" % flag)
        view = client.watch(run)
        view.wait_state("Running")
        name = {"run": run, "attempt": 1}
        path = self.attempt(run).folder + "/collected.json"
        for bad in (None, "x", {}, [1], [None], ["a", ["b"]]):
            self.refused("bad_request", client, "run.collected", dict(name, only_here=bad))
        self.refused("conflict", client, "run.collected", dict(name, only_here=[]))
        self.assertFalse(os.path.exists(path))
        open(flag, "w").close()
        self.assertEqual(view.wait_end()["state"], "Completed")
        for only_here in (["outputs/big", "outputs/\u00e9"], []):
            self.assertEqual(client.call("run.collected", dict(name, only_here=only_here)), {})
            with open(path) as file:
                kept = json.load(file)
            self.assertEqual(kept["only_here"], only_here)
            self.assertGreater(kept["time"], 1600000000000)

    def test_outputs_deeper_than_a_path(self):
        client = self.connect()
        view, status = self.run_to_end(client, (
            "import os\nos.makedirs('outputs/plain')\nopen('outputs/plain/file', 'w').write('x')\nos.chdir('outputs')\n"
            "for _ in range(40):\n    os.mkdir('d' * 200)\n    os.chdir('d' * 200)\n"
            "open('deep', 'w').write('y')\n"))
        self.assertEqual(status["state"], "Completed")
        self.assertEqual([entry["path"] for entry in view.end["files"]],
                         ["environment/environment.json", "outputs/plain/file", "user_logs/std_log.txt"])
        # What cannot be listed was not collected either, whatever the server says.
        client.call("run.collected", {"run": view.run, "attempt": 1, "only_here": []})
        client.call("host.configure", {"keep": {"days": 0, "bytes": 0}})
        self.assertEqual(client.call("host.clean")["runs"], 0)
        client.call("run.delete", {"run": view.run})
        wait_until(lambda: os.listdir(self.root + "/runs") == [], "all of it to go")
