"""A wire between two networks that can be slow, lossy or cut: two TUN devices, and what is sent into one comes
out of the other.

`link.py NEAR FAR` makes the devices and says `ready`; the far one is then moved to another network namespace,
which it survives. Lines on stdin, each answered by `ok`: `delay SECONDS` (one way), `loss PART` (0..1), `rate
BYTES` (a second, 0: as many as go), `cut`, `mend`. The order of packets is kept.
"""

import collections
import errno
import fcntl
import os
import random
import select
import struct
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN = 0x0001
IFF_NO_PI = 0x1000
# Above this the wire drops, as the queue of a router does.
QUEUE = 64 * 1024 * 1024
# So many packets are taken at once before the others are looked at.
BATCH = 64


def tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
    return fd


class Wire:
    delay = 0.0
    loss = 0.0
    rate = 0.0
    whole = True


class Way:
    """One direction: packets and when they are due."""

    def __init__(self, wire, out):
        self.wire = wire
        self.out = out
        self.queue = collections.deque()
        self.held = 0
        self.free = 0.0
        self.last = 0.0

    def take(self, packet):
        wire = self.wire
        if not wire.whole or (wire.loss and random.random() < wire.loss):
            return
        if not wire.delay and not wire.rate and not self.queue:
            self.put(packet)
            return
        if self.held + len(packet) > QUEUE:
            return
        now = time.monotonic()
        if wire.rate:
            self.free = max(self.free, now) + len(packet) / wire.rate
            now = self.free
        # A wire that has just become faster still does not overtake.
        self.last = max(self.last, now + wire.delay)
        self.queue.append((self.last, packet))
        self.held += len(packet)

    def put(self, packet):
        try:
            os.write(self.out, packet)
        except OSError as error:
            # Its device is down, or its buffers are full: the packet is lost.
            if error.errno not in (errno.EIO, errno.EAGAIN, errno.ENOBUFS, errno.EINVAL):
                raise

    def deliver(self):
        """Puts out what is due; the seconds until the next is."""
        while self.queue:
            now = time.monotonic()
            if self.queue[0][0] > now:
                return self.queue[0][0] - now
            _due, packet = self.queue.popleft()
            self.held -= len(packet)
            if self.wire.whole:
                self.put(packet)
        return None


def order(wire, ways, line):
    name, _, value = line.strip().partition(" ")
    if name == "cut":
        wire.whole = False
        for way in ways:
            way.queue.clear()
            way.held = 0
    elif name == "mend":
        wire.whole = True
    elif name in ("delay", "loss", "rate"):
        setattr(wire, name, float(value))
    else:
        return "what is %r?" % line
    return "ok"


def main():
    near, far = tun(sys.argv[1]), tun(sys.argv[2])
    wire = Wire()
    ways = {near: Way(wire, far), far: Way(wire, near)}
    poll = select.epoll()
    for fd in (near, far, 0):
        poll.register(fd, select.EPOLLIN)
    print("ready", flush=True)
    while True:
        waits = [wait for wait in [way.deliver() for way in ways.values()] if wait is not None]
        for fd, _event in poll.poll(min(waits) if waits else None):
            if fd == 0:
                line = sys.stdin.buffer.raw.readline()
                if not line:
                    return
                print(order(wire, ways.values(), line.decode()), flush=True)
                continue
            way = ways[fd]
            try:
                for _ in range(BATCH):
                    way.take(os.read(fd, 65536))
            except BlockingIOError:
                pass
            except OSError as error:
                # Down, or gone with its network.
                if error.errno == errno.EBADFD:
                    return
                if error.errno != errno.EIO:
                    raise
                time.sleep(0.001)


main()
