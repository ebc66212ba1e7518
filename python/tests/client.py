"""A small channel client for the tests: starts `serve`, sends requests, collects notifications."""

import collections
import json
import os
import subprocess
import sys
import threading
import time

from runyard_agent.frames import Decoder, encode

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

#: No test waits longer than this for something that must happen, seconds.
PATIENCE = 60.0


class Refused(Exception):
    """An error reply; `error` is its object."""

    def __init__(self, error):
        Exception.__init__(self, "%s: %s" % (error["code"], error["message"]))
        self.error = error
        self.code = error["code"]


class Client(object):
    """One channel to an agent below `root`."""

    def __init__(self, root, blobs=None, auto_credit=True, env=None, stderr=None):
        arguments = [sys.executable, SOURCE, "serve", "--root", root, "--nonce", "abc123"]
        if blobs:
            arguments += ["--blobs", blobs]
        self.process = subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=env,
                                        stderr=stderr)
        self.auto_credit = auto_credit
        self.stored = {}  # what the next new watch goes on from: name -> (generation, bytes)
        self.watches = collections.defaultdict(lambda: WatchView(self.stored))
        self._replies = {}
        self._changed = threading.Condition()
        self._write = threading.Lock()
        self._next = 0
        self.closed = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        out = self.process.stdout.fileno()
        head = b""
        while b"RUNYARD-CHANNEL abc123\n" not in head:
            data = os.read(out, 65536)
            if not data:
                break
            head += data
        decoder = Decoder()
        decoder.feed(head.partition(b"RUNYARD-CHANNEL abc123\n")[2])
        while True:
            frame = decoder.next()
            if frame is None:
                data = os.read(out, 1 << 20)
                if not data:
                    break
                decoder.feed(data)
                continue
            self._take(*frame)
        with self._changed:
            self.closed = True
            self._changed.notify_all()

    def _take(self, header, payload):
        with self._changed:
            if "id" in header:
                self._replies[header["id"]] = (header, payload)
            else:
                self.watches[header["watch"]].take(header, payload)
            self._changed.notify_all()
        if header.get("kind") == "data" and self.auto_credit:
            self.send({"watch": header["watch"], "credit": len(payload)})

    def send(self, header, payload=b""):
        """Sends one frame."""
        with self._write:
            try:
                self.process.stdin.write(b"".join(encode(header, payload)))
            except (OSError, ValueError):
                pass

    def ask(self, method, params=None, payload=b""):
        """Sends a request; gives its id for `answer`."""
        self._next += 1
        self.send({"id": self._next, "method": method, "params": params or {}}, payload)
        return self._next

    def answer(self, number):
        """`(result, payload)` of a request. Refused for an error reply."""
        self.wait(lambda: number in self._replies, "the reply to request %d" % number)
        header, payload = self._replies.pop(number)
        if "error" in header:
            raise Refused(header["error"])
        return header["result"], payload

    def call(self, method, params=None, payload=b""):
        """The result of one request. Refused for an error reply."""
        return self.answer(self.ask(method, params, payload))[0]

    def wait(self, condition, what, seconds=PATIENCE):
        """Waits until `condition()` holds; AssertionError names `what` when it never does."""
        end = time.monotonic() + seconds
        with self._changed:
            while not condition():
                if self.closed and not condition():
                    raise AssertionError("the channel closed while waiting for %s" % what)
                left = end - time.monotonic()
                if left <= 0:
                    raise AssertionError("waited %g s for %s" % (seconds, what))
                self._changed.wait(min(left, 0.5))

    def watch(self, run, attempt=1, stored=None, page=1000):
        """Starts a watch that goes on from what is stored (name -> (generation, bytes)), with `page` cursors in a
        request; gives its WatchView."""
        with self._changed:
            self.stored = stored or {}
        cursors = {name: {"generation": generation, "offset": len(data)}
                   for name, (generation, data) in self.stored.items()}
        names = sorted(cursors)
        pages = [{name: cursors[name] for name in names[start:start + page]}
                 for start in range(0, len(names), page)] or [{}]
        number = self.call("run.watch", {"run": run, "attempt": attempt, "cursors": pages[0],
                                         "more": len(pages) > 1})["watch"]
        for index, cursors in enumerate(pages[1:], 2):
            self.call("watch.cursors", {"watch": number, "cursors": cursors, "more": index < len(pages)})
        with self._changed:
            view = self.watches[number]
            self.stored = {}
        view.number = number
        view.run = run
        view.client = self
        return view

    def close(self):
        """Ends the channel as a server does that goes away."""
        try:
            self.process.stdin.close()
        except OSError:
            pass
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._reader.join(20)
        self.process.stdout.close()

    def kill(self):
        """Kills `serve` by SIGKILL."""
        self.process.kill()
        self.close()


class WatchView(object):
    """What a server would have stored of one watch."""

    def __init__(self, stored):
        self.number = None
        self.run = None
        self.client = None
        self.statuses = []
        self.files = {name: (generation, bytearray(data)) for name, (generation, data) in stored.items()}
        self.generations = collections.defaultdict(list)
        self.listing = None
        self.end = None
        self.ends = {}
        self.frames = []
        self.problems = []

    def take(self, header, payload):
        kind = header["kind"]
        if kind == "status":
            self.statuses.append(header["status"])
        elif kind == "files":
            self.listing = header["files"]
        elif kind == "ends":
            self.ends.update(header["ends"])
        elif kind == "end":
            self.ends.update(header["ends"])
            self.end = header
        elif kind == "data":
            name, generation, offset = header["file"], header["generation"], header["offset"]
            self.frames.append((name, generation, offset, len(payload)))
            known = self.files.get(name)
            if known is None or known[0] != generation:
                self.generations[name].append(generation)
                if offset:
                    self.problems.append("%s starts at %d under a new generation" % (name, offset))
                known = self.files[name] = (generation, bytearray())
            if offset != len(known[1]):
                self.problems.append("%s goes on at %d instead of %d" % (name, offset, len(known[1])))
            known[1].extend(payload)

    def text(self, name):
        """The bytes of a streamed file so far."""
        known = self.files.get(name)
        return bytes(known[1]) if known else b""

    @property
    def state(self):
        """The last state told, None before the first."""
        return self.statuses[-1]["state"] if self.statuses else None

    def wait_state(self, *states):
        """Waits until the status is one of `states`; gives the status."""
        self.client.wait(lambda: self.state in states, "%s (is %s)" % (" or ".join(states), self.state))
        return self.statuses[-1]

    def wait_log(self, words):
        """Waits until the log holds `words`."""
        self.client.wait(lambda: words in self.text("user_logs/std_log.txt"), "%r in the log" % words)

    def wait_end(self):
        """Waits for the frame `end`; gives the last status."""
        self.client.wait(lambda: self.end is not None, "the end (state is %s)" % self.state)
        return self.statuses[-1]

    def states(self):
        """The states of events.jsonl, in order."""
        return [json.loads(line)["state"] for line in self.text("events.jsonl").decode("utf-8").splitlines()]

