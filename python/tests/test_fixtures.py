"""The golden fixtures that the server's side tests as well."""

import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import unittest

from runyard_agent import manifest, record, spec
from runyard_agent.errors import AgentError
from runyard_agent.frames import Decoder, ProtocolError, encode
from runyard_agent.stream import base_generation, is_life_of

from .client import SOURCE

FOLDER = os.path.join(os.path.dirname(SOURCE), "test", "fixtures", "protocol")


def read(name):
    with open(os.path.join(FOLDER, name), "rb") as file:
        return file.read()


def load(name):
    return json.loads(read(name).decode("utf-8"))


class Frames(unittest.TestCase):

    def test_read_alike_however_they_are_cut(self):
        data = read("frames.bin")
        expected = [(frame["header"], bytes(bytearray.fromhex(frame["payload"]))) for frame in load("frames.json")]
        rng = random.Random(1)
        for longest in (1, 2, 7, 9, 100, 5000):
            decoder, found, at = Decoder(), [], 0
            while at < len(data):
                size = rng.randint(1, longest)
                decoder.feed(data[at:at + size])
                at += size
                while True:
                    frame = decoder.next()
                    if frame is None:
                        break
                    found.append(frame)
            self.assertEqual(found, expected)

    def test_written_frames_are_read_again(self):
        decoder = Decoder()
        for frame in load("frames.json"):
            payload = bytes(bytearray.fromhex(frame["payload"]))
            decoder.feed(b"".join(encode(frame["header"], payload)))
            self.assertEqual(decoder.next(), (frame["header"], payload))

    def test_bad_frames_are_refused(self):
        for case in load("frames-bad.json"):
            decoder = Decoder()
            decoder.feed(bytes(bytearray.fromhex(case["bytes"])))
            with self.assertRaises(ProtocolError, msg=case["why"]):
                decoder.next()

    def test_too_large_frames_are_not_sent(self):
        with self.assertRaises(ProtocolError):
            encode({}, b"x" * ((1 << 20) + 1))
        with self.assertRaises(ProtocolError):
            encode({"x": "y" * (1 << 20)})


class Documents(unittest.TestCase):

    def test_specs(self):
        for name in ("spec.json", "spec-shell.json", "spec-environment.json", "spec-container.json", "spec-slurm.json"):
            self.assertEqual(spec.check(load(name)), load(name))
        older = {name: value for name, value in load("spec.json").items()
                 if name not in ("python", "environment", "distributed", "slurm")}
        older["resources"] = {"slots": 1, "gpus": 0}
        self.assertEqual(spec.check(older), load("spec.json"))
        for case in load("specs-bad.json"):
            with self.assertRaises(AgentError, msg=case["why"]) as caught:
                spec.check(case["spec"])
            self.assertEqual(caught.exception.code, case["code"], case["why"])

    def test_manifests(self):
        data = read("manifest.json")
        self.assertEqual(hashlib.sha256(data).hexdigest(), read("manifest.sha256").decode("ascii").strip())
        entries = manifest.parse(data)
        self.assertEqual([entry.path for entry in entries],
                         ["empty/deep", "latest", "run.sh", "src/a b.txt", u"src/\u00e9.txt", "train.py"])
        self.assertEqual([entry.mode for entry in entries], [None, None, 493, 420, 420, 420])
        for case in load("manifests-bad.json"):
            with self.assertRaises(AgentError, msg=case["why"]):
                manifest.parse(json.dumps(case["manifest"]).encode("ascii"))

    def test_status_members(self):
        for status in load("status.json"):
            self.assertEqual(set(status), set(record.first_status("x")))

    def test_events(self):
        lines = [json.loads(line) for line in read("events.jsonl").decode("utf-8").splitlines()]
        self.assertEqual([line["n"] for line in lines], list(range(1, len(lines) + 1)))

    def test_generations(self):
        for case in load("generations.json"):
            head = bytes(bytearray.fromhex(case["first_seen"]))[:64]
            identity = (case["device"], case["inode"])
            self.assertEqual(base_generation(identity, head), case["generation"])
            # Grown since: still the same life. Another inode or other first bytes: not.
            self.assertTrue(is_life_of(case["generation"], identity, (head + b"more" * 20)[:64]))
            self.assertFalse(is_life_of(case["generation"], (identity[0], 99), head))
            if head:
                self.assertFalse(is_life_of(case["generation"], identity, b"#" + head[1:]))


WRITER = """
import runyard, runyard.journal
from decimal import Decimal
runyard._time = lambda: 1763712000.1234
runyard.log("train/loss", 0.31, step=12)
runyard.log_metrics({"train/loss": float("nan"), "b": float("inf"), "c": float("-inf"), "d": 1e-07, "e": 2 ** 53})
runyard.log("count", 3, -5)
runyard.log_params({"lr": 0.1, u"\\u00fc": 'x"y'})
runyard.set_tag("kind", u"\\u4e16")
runyard.log_table("results", {"a": [1, 2.5, None], "b": ["x", float("nan"), True]})
runyard.log_row("results", a=4, b="y")
runyard.log_confusion_matrix("confusion", [[8, 2], [1, 9]], labels=["cat", "dog"])
runyard.log_image("samples", b"\\x89PNG\\r\\n\\x1a\\n", step=12)
open("roc.svg", "w").close()
runyard.log_artifact("roc.svg", "plots")
"""


class Journal(unittest.TestCase):

    def test_the_module_writes_these_bytes(self):
        with tempfile.TemporaryDirectory() as folder:
            os.mkdir(os.path.join(folder, "journal"))
            env = dict(os.environ, PYTHONPATH=SOURCE, RUNYARD_RUN_DIR=folder,
                       RUNYARD_JOURNAL=os.path.join(folder, "journal"))
            subprocess.check_call([sys.executable, "-c", WRITER], env=env, cwd=folder)
            name, = os.listdir(os.path.join(folder, "journal"))
            with open(os.path.join(folder, "journal", name), "rb") as file:
                self.assertEqual(file.read().splitlines(), read("journal.jsonl").splitlines()[:10])
            self.assertTrue(os.path.exists(os.path.join(folder, "artifacts", "images", "samples_000012.png")))
            self.assertTrue(os.path.exists(os.path.join(folder, "artifacts", "plots", "roc.svg")))
