"""The order in which frames leave when the other side takes them slowly."""

import os
import unittest

from runyard_agent.channel import Channel
from runyard_agent.frames import Decoder


class Order(unittest.TestCase):

    def setUp(self):
        nothing, self.reading = os.pipe(), os.pipe()
        self.channel = Channel(nothing[0], self.reading[1])
        for fd in nothing + self.reading:
            self.addCleanup(os.close, fd)

    def drain(self):
        """Every frame, as a slow reader gets them."""
        decoder = Decoder()
        os.set_blocking(self.reading[0], False)
        found = []
        while True:
            self.channel.flush()
            try:
                decoder.feed(os.read(self.reading[0], 4096))
            except BlockingIOError:
                return found
            frame = decoder.next()
            while frame is not None:
                found.append(frame[0])
                frame = decoder.next()

    def test_the_end_of_a_watch_never_overtakes_what_it_ends(self):
        for number in range(20):
            self.channel.send_data({"data": number}, b"x" * 20000)
        self.channel.send_data({"end": True}, b"")
        frames = self.drain()
        self.assertEqual(frames, [{"data": number} for number in range(20)] + [{"end": True}])

    def test_large_replies_share_the_line_with_logs_and_hold_no_small_one_up(self):
        for number in range(8):
            self.channel.send({"reply": number}, b"x" * 100000)
        self.channel.send_data({"data": 1}, b"log")
        self.channel.send_data({"data": 2}, b"log")
        self.channel.send({"small": True})
        names = [next(iter(frame)) for frame in self.drain()]
        self.assertEqual(names.count("reply"), 8)
        self.assertEqual(names[0], "small")
        self.assertLess(names.index("data"), 3)
        self.assertLess(len(names) - 1 - names[::-1].index("data"), 6)
