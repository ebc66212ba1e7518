"""A connection that was cut without a word leaves no `serve` behind once its server is back."""

import os
import signal

from .support import AgentTest, alive, wait_until

SESSION = "0123456789abcdef0123456789abcdef"


class Predecessor(AgentTest):

    def hello(self, client, session):
        return client.call("hello", {"protocol": 1, "client": "test", "session": session})["pid"]

    def test_the_same_session_ends_the_one_before_and_no_other(self):
        first, other, second = self.connect(), self.connect(), self.connect()
        before = self.hello(first, SESSION)
        others = self.hello(other, SESSION[::-1])
        self.assertEqual(self.hello(first, SESSION), before)
        now = self.hello(second, SESSION)
        self.assertNotEqual(before, now)
        wait_until(lambda: not alive(before), "the end of the first")
        self.assertTrue(alive(now) and alive(others))
        second.call("host.load")

    def test_a_note_of_another_process_ends_nobody(self):
        client = self.connect()
        pid = self.hello(client, SESSION)
        path = os.path.join(self.root, "serve", SESSION + ".json")
        with open(path) as file:
            note = file.read()
        stranger = os.fork()
        if stranger == 0:
            signal.pause()
        try:
            with open(path, "w") as file:
                file.write(note.replace(str(pid), str(stranger), 1))
            self.hello(self.connect(), SESSION)
            self.assertTrue(alive(stranger))
        finally:
            os.kill(stranger, signal.SIGKILL)
            os.waitpid(stranger, 0)

    def test_what_is_no_session(self):
        client = self.connect()
        for session in ("../../etc/passwd", "", 5, "0" * 65, "zz" * 16):
            with self.assertRaises(Exception) as caught:
                self.hello(client, session)
            self.assertIn("session", str(caught.exception))
