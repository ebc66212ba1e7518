"""Blobs: pieces, order, damage, and what a kill leaves."""

import hashlib
import os
import shutil
import tempfile
import unittest

from runyard_agent.blobs import BlobStore
from runyard_agent.errors import AgentError
from runyard_agent.layout import prepare_root
from runyard_agent.removal import sweep_temporary


class Blobs(unittest.TestCase):

    def setUp(self):
        self.root = tempfile.mkdtemp(prefix="runyard-test-")
        self.addCleanup(shutil.rmtree, self.root)
        prepare_root(self.root)
        self.store = BlobStore(self.root)

    def piece(self, data, offset=0, length=None, size=None, hash=None):
        length = len(data) - offset if length is None else length
        return {"hash": hash or hashlib.sha256(data).hexdigest(), "size": len(data) if size is None else size,
                "offset": offset, "length": length}

    def content(self, data):
        with open(self.store.find(hashlib.sha256(data).hexdigest()), "rb") as file:
            return file.read()

    def test_uploads_that_were_given_up_do_not_stand_in_the_way(self):
        kept = b"kept by the one who goes on with it"
        self.store.put([self.piece(kept, 0, 4)], kept[:4])
        for number in range(200):
            given_up = b"given up %d" % number
            self.store.put([self.piece(given_up, 0, 4)], given_up[:4])
            if number == 40:
                self.store.put([self.piece(kept, 4, 4)], kept[4:8])
            if number == 80:
                self.store.put([self.piece(kept, 8)], kept[8:])
        self.assertEqual(self.content(kept), kept)

    def test_several_whole_ones_and_one_in_pieces(self):
        one, empty, long = b"one", b"", b"0123456789"
        self.store.put([self.piece(one), self.piece(empty), self.piece(long, 0, 4)], one + empty + long[:4])
        self.assertEqual((self.content(one), self.content(empty)), (one, empty))
        self.assertIsNone(self.store.find(hashlib.sha256(long).hexdigest()))
        self.store.put([self.piece(long, 4, 6)], long[4:])
        self.assertEqual(self.content(long), long)
        self.assertEqual(os.listdir(self.root + "/blobs/tmp"), [])

    def refused(self, code, pieces, payload):
        with self.assertRaises(AgentError) as caught:
            self.store.put(pieces, payload)
        self.assertEqual(caught.exception.code, code)

    def test_what_is_refused(self):
        data = b"0123456789"
        self.refused("corrupt", [self.piece(data)], b"x" * 10)
        self.refused("bad_request", [self.piece(data, 4, 6)], data[4:])
        self.store.put([self.piece(data, 0, 4)], data[:4])
        self.refused("bad_request", [self.piece(data, 5, 5)], data[5:])
        self.refused("bad_request", [self.piece(data, 4, 6)], data[4:])
        self.refused("bad_request", [self.piece(data, hash="../../x")], data)
        self.refused("bad_request", [self.piece(data, length=20)], data)
        self.refused("bad_request", [self.piece(data, length=5)], data)
        self.refused("bad_request", "x", data)
        self.store.close()
        self.assertEqual(os.listdir(self.root + "/blobs/tmp"), [])

    def test_what_a_kill_leaves_is_swept(self):
        os.makedirs(self.root + "/blobs/tmp")
        os.makedirs(self.root + "/runs/r/attempts/.new-1-99999999/code")
        os.makedirs(self.root + "/runs/r/attempts/.new-2-%d" % os.getpid())
        for pid in (99999999, os.getpid()):
            open(self.root + "/blobs/tmp/abc.%d" % pid, "w").close()
        for _ in sweep_temporary(self.root):
            pass
        self.assertEqual(os.listdir(self.root + "/blobs/tmp"), ["abc.%d" % os.getpid()])
        self.assertEqual(os.listdir(self.root + "/runs/r/attempts"), [".new-2-%d" % os.getpid()])
