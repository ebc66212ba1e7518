"""Following one file: growth, rotation, truncation, resuming."""

import os
import shutil
import tempfile
import unittest

from runyard_agent.stream import CHUNK, Stream


class Following(unittest.TestCase):

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="runyard-test-")
        self.addCleanup(shutil.rmtree, self.folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data, mode="ab"):
        with open(self.path(name), mode) as file:
            file.write(data)

    def stream(self, name, cursor=None):
        return Stream(name, self.path(name), cursor)

    def all_of(self, stream, limit=4 << 20, rest=False):
        found = b""
        while stream.check(rest):
            got = stream.read(limit, rest)
            if got is None:
                break
            found += got[1]
        return found

    def test_growth_keeps_the_generation(self):
        stream = self.stream("a.log")
        self.assertFalse(stream.check())
        self.write("a.log", b"")
        self.assertEqual(self.all_of(stream), b"")
        self.write("a.log", b"one\n")
        self.assertEqual(self.all_of(stream), b"one\n")
        generation = stream.generation
        self.assertTrue(generation.endswith("-empty"))
        self.write("a.log", b"two" * 100)
        self.assertEqual(self.all_of(stream), b"two" * 100)
        self.assertEqual(stream.generation, generation)
        self.assertFalse(stream.check())

    def test_resume_within_the_same_life(self):
        self.write("a.log", b"short")
        first = self.stream("a.log")
        self.all_of(first)
        self.write("a.log", b"x" * 1000)
        second = self.stream("a.log", (first.generation, 5))
        self.assertEqual(self.all_of(second), b"x" * 1000)
        self.assertEqual(second.generation, first.generation)

    def test_rotation(self):
        stream = self.stream("a.log")
        self.write("a.log", b"first file\n")
        self.all_of(stream)
        before = stream.generation
        os.rename(self.path("a.log"), self.path("a.log.1"))
        self.write("a.log", b"second\n")
        self.assertEqual(self.all_of(stream), b"second\n")
        self.assertNotEqual(stream.generation, before)
        late = self.stream("a.log", (before, 11))
        self.assertEqual(self.all_of(late), b"second\n")

    def test_truncation_once_and_again(self):
        stream = self.stream("a.log")
        self.write("a.log", b"a long first life\n")
        self.all_of(stream)
        first = stream.generation
        self.write("a.log", b"a\n", "wb")
        self.assertEqual(self.all_of(stream), b"a\n")
        self.assertTrue(stream.generation.endswith("+1"), stream.generation)
        self.write("a.log", b"", "wb")
        self.assertEqual(self.all_of(stream), b"")
        self.assertTrue(stream.generation.endswith("+2"), stream.generation)
        # The same two truncations as another serve sees them that knows only the cursor.
        late = self.stream("a.log", (first, 18))
        self.write("a.log", b"b\n")
        self.assertEqual(self.all_of(late), b"b\n")
        self.assertTrue(late.generation.endswith("+1"), late.generation)

    def test_truncated_and_grown_beyond_the_offset(self):
        stream = self.stream("a.log")
        self.write("a.log", b"old\n")
        self.all_of(stream)
        first = stream.generation
        self.write("a.log", b"new and longer\n", "wb")
        self.assertEqual(self.all_of(stream), b"new and longer\n")
        self.assertNotEqual(stream.generation, first)
        late = self.stream("a.log", (first, 4))
        self.assertEqual(self.all_of(late), b"new and longer\n")
        self.assertNotEqual(late.generation, first)

    def test_records_are_not_cut(self):
        stream = self.stream("a.jsonl")
        self.write("a.jsonl", b'{"a":1}\n{"b"')
        self.assertEqual(self.all_of(stream), b'{"a":1}\n')
        self.assertFalse(stream.check())
        self.write("a.jsonl", b':2}\n{"c"')
        self.assertEqual(self.all_of(stream), b'{"b":2}\n')
        self.assertEqual(self.all_of(stream, rest=True), b'{"c"')

    def test_long_records(self):
        line = b'{"a":"' + b"x" * (CHUNK * 2) + b'"}\n'
        self.write("a.jsonl", line + b"{}\n")
        stream = self.stream("a.jsonl")
        self.assertIsNone(stream.read(1000), "too little credit for the record: it waits")
        self.assertEqual(stream.read(4 << 20), (0, line + b"{}\n"))
        longer = b"y" * (3 << 20) + b"\n"
        self.write("b.jsonl", longer)
        stream = self.stream("b.jsonl")
        self.assertEqual(len(stream.read(4 << 20)[1]), 1 << 20)
        self.assertEqual(self.all_of(stream), longer[1 << 20:])

    def test_what_is_no_file_is_left_alone(self):
        os.mkfifo(self.path("a.jsonl"))
        os.symlink("/etc/passwd", self.path("b.jsonl"))
        os.mkdir(self.path("c.jsonl"))
        for name in ("a.jsonl", "b.jsonl", "c.jsonl"):
            stream = self.stream(name)
            self.assertFalse(stream.check(True))
            self.assertIsNone(stream.read(1 << 20, True))
