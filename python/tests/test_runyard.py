"""The `runyard` module in processes that fork, die, and run out of room. Each script counts what it logged; the
journals must hold exactly that, each point once."""

import collections
import json
import os
import shutil
import signal

from .journals import JournalTest
from .support import wait_until


class Processes(JournalTest):

    # Ways of ending

    def test_exit_exception_and_sys_exit(self):
        for index, (end, code) in enumerate((("pass", 0), ("raise ValueError()", 1), ("import sys; sys.exit(5)", 5))):
            self.run_script("import runyard\nfor i in range(100): runyard.log('m%d', i)\n%s\n" % (index, end), code)
        self.assert_points([("m%d" % index, value) for index in range(3) for value in range(100)])

    def test_flushed_while_running(self):
        process = self.start("import runyard, sys\nrunyard.log('x', 1)\nsys.stdin.read()\nimport time\ntime.sleep(120)")
        try:
            wait_until(lambda: self.points()[("x", 1)] == 1, "the first flush")
        finally:
            process.kill()
            process.communicate()

    def test_sigterm(self):
        process = self.start("""
            import runyard, time
            for i in range(1000): runyard.log('x', i)
            print('ready', flush=True)
            time.sleep(120)
            """)
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        process.communicate()
        self.assertEqual(process.returncode, -signal.SIGTERM)
        self.assert_points([("x", value) for value in range(1000)])

    def test_sigterm_while_logging(self):
        for _ in range(3):
            shutil.rmtree(self.journal)
            os.mkdir(self.journal)
            process = self.start("""
                import runyard, sys
                i = 0
                while True:
                    runyard.log('x', i)
                    i += 1
                    if i == 30000: print('ready', flush=True)
                """)
            process.stdout.readline()
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=60)
            self.assertEqual(process.returncode, -signal.SIGTERM)
            points = self.points()
            self.assertGreaterEqual(len(points), 30000)
            self.assertEqual(set(points), set(("x", value) for value in range(len(points))))

    def test_sigterm_goes_on_to_the_scripts_own_handler(self):
        process = self.start("""
            import os, signal, sys, time
            def own(number, frame):
                runyard.log('x', 2)
                os.write(1, b'own\\n')  # not print: the other one may still be on its way
                sys.exit(7)
            signal.signal(signal.SIGTERM, own)
            import runyard
            runyard.log('x', 1)
            print('ready', flush=True)
            time.sleep(120)
            """)
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
        self.assertEqual((process.returncode, out), (7, b"own\n"), err)
        self.assert_points([("x", 1), ("x", 2)])

    def test_an_ignored_sigterm_stays_ignored(self):
        self.run_script("""
            import os, signal
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            import runyard
            runyard.log('x', 1)
            os.kill(os.getpid(), signal.SIGTERM)
            runyard.log('x', 2)
            """)
        self.assert_points([("x", 1), ("x", 2)])

    def test_logging_at_exit(self):
        self.run_script("""
            import atexit, runyard
            atexit.register(lambda: runyard.log('x', 2))
            runyard.log('x', 1)
            atexit.register(lambda: runyard.log('x', 3))
            """)
        self.assert_points([("x", 1), ("x", 2), ("x", 3)])

    # Many processes

    def test_fork(self):
        self.run_script("""
            import os, runyard
            for i in range(100): runyard.log('before', i)
            pids = []
            for child in range(5):
                pid = os.fork()
                if pid == 0:
                    for i in range(100): runyard.log('child%d' % child, i)
                    if child % 2: os._exit(runyard.flush() or 0)
                    raise SystemExit(0)
                pids.append(pid)
            for pid in pids: assert os.waitpid(pid, 0)[1] == 0
            for i in range(100): runyard.log('after', i)
            """)
        names = ["before", "after"] + ["child%d" % child for child in range(5)]
        self.assert_points([(name, value) for name in names for value in range(100)])
        self.assertEqual(len(self.files()), 6)

    def test_fork_while_threads_log(self):
        self.run_script("""
            import os, runyard, threading
            def work(name):
                for i in range(3000): runyard.log(name, i)
            threads = [threading.Thread(target=work, args=('t%d' % t,)) for t in range(3)]
            for thread in threads: thread.start()
            for child in range(10):
                pid = os.fork()
                if pid == 0:
                    runyard.log('c', child)
                    runyard.flush()
                    os._exit(0)
                assert os.waitpid(pid, 0)[1] == 0
            for thread in threads: thread.join()
            """, PYTHONWARNINGS="ignore")
        self.assert_points([("t%d" % t, value) for t in range(3) for value in range(3000)]
                           + [("c", child) for child in range(10)])

    def test_fork_while_another_thread_logs_its_first_line(self):
        self.run_script("""
            import os, runyard, sys, threading
            from runyard import endings
            install, held, go_on = endings.install, threading.Event(), threading.Event()
            def slow(journal):
                if threading.current_thread() is thread:
                    held.set()
                    go_on.wait()
                return install(journal)
            endings.install = slow
            thread = threading.Thread(target=lambda: runyard.log('thread', 1))
            thread.start()
            held.wait()
            pid = os.fork()
            if pid == 0:
                runyard.log('child', 1)
                sys.exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            go_on.set()
            thread.join()
            """, PYTHONWARNINGS="ignore")
        self.assert_points([("thread", 1), ("child", 1)])

    def test_fork_of_a_process_that_has_not_logged(self):
        self.run_script("""
            import os, runyard, sys
            pid = os.fork()
            runyard.log('child' if pid == 0 else 'parent', 1)
            sys.exit(0 if pid == 0 else os.waitpid(pid, 0)[1])
            """)
        self.assert_points([("child", 1), ("parent", 1)])

    def test_threads_of_a_child_log_their_first_lines_together(self):
        self.run_script("""
            import os, runyard, sys, threading
            sys.setswitchinterval(1e-6)
            runyard.log('parent', 0)
            def work(name):
                barrier.wait()
                for i in range(50): runyard.log(name, i)
            for child in range(10):
                pid = os.fork()
                if pid == 0:
                    barrier = threading.Barrier(8)
                    threads = [threading.Thread(target=work, args=('%d-%d' % (child, n),)) for n in range(8)]
                    for thread in threads: thread.start()
                    for thread in threads: thread.join()
                    sys.exit(0)
                assert os.waitpid(pid, 0)[1] == 0
            """, PYTHONWARNINGS="ignore")
        self.assert_points([("parent", 0)] + [("%d-%d" % (child, n), value) for child in range(10) for n in range(8)
                                              for value in range(50)])
        self.assertEqual(len(self.files()), 11)

    def test_exit_handlers_of_a_child_that_has_not_logged(self):
        self.run_script("""
            import atexit, os, runyard, sys
            atexit.register(lambda: runyard.log(name, 1))
            runyard.log('parent', 0)
            pid = os.fork()
            name = 'child' if pid == 0 else 'parent'
            sys.exit(0 if pid == 0 else os.waitpid(pid, 0)[1])
            """, PYTHONWARNINGS="ignore")
        self.assert_points([("parent", 0), ("parent", 1), ("child", 1)])

    def test_fork_while_another_thread_holds_stderr(self):
        # The warning of a full disk in the child must not wait for a lock that nobody gives back.
        out, err = self.run_script("""
            import io, os, runyard, sys, threading
            class Slow(io.FileIO):
                # A thread that is in here holds the lock of the buffer above.
                def write(self, data):
                    if threading.current_thread() is thread:
                        held.set()
                        go_on.wait()
                    return io.FileIO.write(self, data)
            held, go_on = threading.Event(), threading.Event()
            sys.stderr = sys.__stderr__ = io.TextIOWrapper(io.BufferedWriter(Slow(2, 'w', closefd=False)))
            thread = threading.Thread(target=lambda: (sys.stderr.write('held'), sys.stderr.flush()))
            thread.start()
            held.wait()
            pid = os.fork()
            if pid == 0:
                runyard.log('x', 1)
                runyard.flush()
                os._exit(0)
            assert os.waitpid(pid, 0)[1] == 0
            go_on.set()
            thread.join()
            """, PYTHONWARNINGS="ignore", RUNYARD_JOURNAL=self.folder + "/gone")
        self.assertIn("cannot be written", err)
        self.assertIn("held", err)

    def test_a_forkserver_child_that_logs_while_it_imports(self):
        self.run_script("""
            import multiprocessing, runyard
            runyard.log(__name__, 1)
            def work(name):
                for i in range(200): runyard.log(name, i)
            if __name__ == '__main__':
                worker = multiprocessing.get_context('forkserver').Process(target=work, args=('p',))
                worker.start()
                worker.join()
            """, PYTHONWARNINGS="ignore")
        points = self.points()
        # The server itself imports the main module where it can.
        self.assertEqual(points.pop(("__main__", 1)), 1)
        self.assertGreaterEqual(points.pop(("__mp_main__", 1)), 1)
        self.assertEqual(points, collections.Counter({("p", value): 1 for value in range(200)}))

    def test_multiprocessing(self):
        for method in ("fork", "spawn"):
            self.run_script("""
                import multiprocessing, runyard, sys
                def work(name):
                    for i in range(200): runyard.log(name, i)
                if __name__ == '__main__':
                    context = multiprocessing.get_context('%s')
                    runyard.log('main', 0)
                    workers = [context.Process(target=work, args=('%s-p%%d' %% n,)) for n in range(3)]
                    for worker in workers: worker.start()
                    for worker in workers: worker.join()
                    with context.Pool(2) as pool:
                        pool.map(work, ['%s-q%%d' %% n for n in range(4)])
                        pool.close()
                        pool.join()
                """ % ((method,) * 3), PYTHONWARNINGS="ignore")
        names = ["%s-%s%d" % (method, kind, n) for method in ("fork", "spawn") for kind, count in (("p", 3), ("q", 4))
                 for n in range(count)]
        points = self.points()
        self.assertEqual(points.pop(("main", 0)), 2)
        self.assertEqual(points, collections.Counter({(name, value): 1 for name in names for value in range(200)}))

    def test_threads(self):
        self.run_script("""
            import runyard, threading
            def work(name):
                for i in range(20000): runyard.log(name, i, step=i)
            threads = [threading.Thread(target=work, args=('t%d' % t,)) for t in range(4)]
            for thread in threads: thread.start()
            for thread in threads: thread.join()
            """)
        self.assert_points([("t%d" % t, value) for t in range(4) for value in range(20000)])

    # Trouble

    def test_no_room_then_room_again(self):
        # A limit of the file size stands for a full disk: writes come back short, then fail.
        out, err = self.run_script("""
            import resource, runyard, signal
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (10001, hard))
            for i in range(2000): runyard.log('x', i, step=i)
            runyard.flush()
            for i in range(2000, 4000): runyard.log('x', i, step=i)
            runyard.flush()
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            runyard.log('x', 4000, step=4000)
            """)
        self.assert_points([("x", value) for value in range(4001)])
        self.assertEqual(err.count("cannot be written"), 1)

    def test_what_cannot_be_kept_is_dropped_and_counted(self):
        out, err = self.run_script("""
            import resource, runyard, runyard.journal, signal, time
            runyard.journal.KEPT = 5000
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (10001, hard))
            for i in range(2000): runyard.log('x', i, step=i)
            runyard.flush()
            resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
            runyard.log('x', 2000, step=2000)
            """)
        name, = os.listdir(self.journal)
        with open(os.path.join(self.journal, name), "rb") as file:
            lines = file.read().split(b"\n")
        found, bad = [], 0
        for line in lines:
            try:
                found.append(json.loads(line.decode("ascii"))["s"])
            except ValueError:
                bad += line != b""
        self.assertEqual(bad, 1, "the line at which the disk was full")
        self.assertEqual(found, sorted(set(found)))
        self.assertEqual(found[-1], 2000)
        self.assertIn(" lines are lost", err)

    def test_closed_descriptors(self):
        self.run_script("""
            import os, runyard
            runyard.log('x', 1)
            runyard.flush()
            os.closerange(3, 100)
            other = open('other', 'w+b')
            runyard.log('x', 2)
            runyard.flush()
            other.seek(0)
            assert other.read() == b''
            """)
        self.assert_points([("x", 1), ("x", 2)])
        self.assertEqual(len(self.files()), 2)

    def test_a_missing_journal_folder_harms_nothing(self):
        out, err = self.run_script("import runyard\nrunyard.log('x', 1)\nrunyard.flush()\nprint('on')\n",
                                   RUNYARD_JOURNAL=self.folder + "/gone")
        self.assertEqual(out, "on\n")
        self.assertIn("cannot be written", err)
