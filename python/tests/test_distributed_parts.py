"""Numbers, names, ports and files of runs of several processes."""

import os
import random
import shutil
import tempfile
import unittest

from runyard_agent import distributed_plan, processes, ranks
from runyard_agent.node_guard import _GuardedTree

from .support import wait_until


class Numbers(unittest.TestCase):

    def test_blocks(self):
        rng = random.Random(7)
        for _ in range(2000):
            nodes = rng.randint(1, rng.choice((3, 40, 1000)))
            processes = nodes + rng.randint(0, rng.choice((3, 40, 5000)))
            shares = [ranks.share(processes, nodes, node) for node in range(nodes)]
            counts = [count for _, count in shares]
            self.assertEqual(sum(counts), processes)
            self.assertEqual(counts, sorted(counts, reverse=True))
            self.assertLessEqual(max(counts) - min(counts), 1)
            self.assertEqual([first for first, _ in shares], [sum(counts[:node]) for node in range(nodes)][:nodes])
            for rank in {0, processes - 1, rng.randrange(processes)}:
                node, first, count = ranks.node_of(processes, nodes, rank)
                self.assertEqual((first, count), shares[node])
                self.assertTrue(first <= rank < first + count)

    def test_names(self):
        self.assertEqual([ranks.log_of("/r/user_logs/std_log.txt", rank) for rank in (0, 1, 12, 123)], [
            "/r/user_logs/std_log.txt", "/r/user_logs/std_log_process_01.txt", "/r/user_logs/std_log_process_12.txt",
            "/r/user_logs/std_log_process_123.txt"])
        self.assertEqual(ranks.tasks_per_node([3, 3, 2]), "3(x2),2")
        self.assertEqual(ranks.tasks_per_node([1]), "1")

    def test_ports(self):
        found = ranks.free_ports(50)
        self.assertEqual(len(set(found)), 50)
        self.assertTrue(all(1024 < port < 32768 for port in found))

    def test_an_address_is_a_name_that_others_know(self):
        found = ranks.own_address("localhost")
        self.assertNotEqual(found, "localhost")

    @unittest.skipUnless(hasattr(os, "pidfd_open"), "the system does not say in which order processes end")
    def test_the_order_of_ends_is_known_to_who_comes_late(self):
        tree = _GuardedTree()
        pids, doors = [], []
        for _ in range(4):
            read, write = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.close(write)
                os.read(read, 1)
                os._exit(0)
            os.close(read)
            tree.add(pid)
            pids.append(pid)
            doors.append(write)
        order = [2, 0, 3, 1]
        for index in order:
            os.write(doors[index], b"x")
            wait_until(lambda: processes.look(pids[index]).dead, "the end of a child")
        tree.reap()
        for door in doors:
            os.close(door)
        self.assertEqual(tree.order, [pids[index] for index in order])

    def test_an_end_is_told_once(self):
        folder = tempfile.mkdtemp(prefix="runyard-test-")
        self.addCleanup(shutil.rmtree, folder)
        os.mkdir(folder + "/nodes")
        self.assertFalse(distributed_plan.is_end_told(folder))
        self.assertTrue(distributed_plan.tell_end(folder, {"rank": 1}))
        self.assertFalse(distributed_plan.tell_end(folder, {"rank": 2}))
        self.assertEqual(distributed_plan.end_told(folder), {"rank": 1})
        self.assertEqual(os.listdir(folder + "/nodes"), ["end.json"])
