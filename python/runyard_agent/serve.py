"""`serve`: the channel to the server, one event loop for everything."""

import select
import sys
import time

from . import build_remains
from .atomic import read_object
from .blobs import BlobStore
from .channel import Channel
from .clean_up import CleanUp
from .errors import AgentError, from_os_error
from .frames import PAYLOAD_LIMIT, ProtocolError
from .jobs import Jobs
from .launch import Kicker
from .layout import prepare_root
from .locks import is_held
from .methods import Methods
from .record import state_of
from .recovery import Recovery
from .removal import left_behind, remove, sweep_temporary
from .slurm_attempt import is_job
from .slurm_methods import is_over
from .slurm_queue import SlurmQueue
from .slurm_recovery import SlurmRecovery
from .waiting_line import WaitingLine
from .watch import WINDOW, Watch

#: Seconds between kicks of the queue.
_KICK = 1.0

#: Frames handled before the watches have their turn again.
_FRAMES = 16


class Serve(object):
    """The agent's end of one channel."""

    def __init__(self, root, version, blobs):
        self.root = root
        self.version = version
        self.store = BlobStore(root, blobs)
        self.line = WaitingLine(root)
        self.jobs = Jobs()
        self.watches = {}
        self._kicker = Kicker(root)
        self.slurm = SlurmRecovery(root, SlurmQueue())
        self.recovery = Recovery(root, self.line, self._kicker, self.slurm)
        self.clean_up = CleanUp(root, self.line)
        self._channel = Channel(0, 1)
        self._methods = Methods(self)
        self._next_watch = 1
        self._next_kick = 0.0
        self._tickets = {}  # (run, attempt) -> number of its ticket

    def run(self, nonce):
        """Serves until stdin ends. ProtocolError when the server breaks the protocol."""
        channel = self._channel
        channel.write_text(b"RUNYARD-CHANNEL " + nonce.encode("ascii") + b"\n")
        self.jobs.add(self._look_after_runs())
        for folder in left_behind(self.root):
            self.jobs.add(remove(folder))
        self.jobs.add(sweep_temporary(self.root))
        self.jobs.add(build_remains.sweep(self.root))
        self.jobs.add(self.clean_up.hourly())
        poller = select.poll()
        poller.register(channel.read_fd, select.POLLIN)
        writing = more = False
        while not channel.ended:
            if channel.wants_to_write != writing:
                writing = not writing
                if channel.read_fd == channel.write_fd:
                    poller.modify(channel.read_fd, select.POLLIN | (select.POLLOUT if writing else 0))
                elif writing:
                    poller.register(channel.write_fd, select.POLLOUT)
                else:
                    poller.unregister(channel.write_fd)
            for fd, event in poller.poll(0 if more else self._timeout()):
                if fd == channel.read_fd and event & ~select.POLLOUT:
                    channel.receive()
            more = self._handle_frames()
            now = time.monotonic()
            if now >= self._next_kick:
                self._next_kick = now + _KICK
                self.kick()
            self._run_watches(now)
            self.jobs.run()
            channel.flush()
        self.store.close()

    def _timeout(self):
        """Milliseconds until something is due."""
        now = time.monotonic()
        times = [self._next_kick - now]
        waiting = self.jobs.due(now)
        if waiting is not None:
            times.append(waiting)
        room = self._channel.has_room
        for watch in self.watches.values():
            if watch.hungry and room:
                return 0
            if not watch.ended:
                times.append(watch.next_look - now)
        return max(0, int(min(times) * 1000 + 0.999))

    # Requests

    def _handle_frames(self):
        """Handles frames that are here; True when there may be more, which no poll would tell of."""
        for _ in range(_FRAMES):
            frame = self._channel.next()
            if frame is None:
                return False
            header, payload = frame
            if "method" in header:
                self._request(header, payload)
            elif "credit" in header:
                self._give_credit(header)
            else:
                raise ProtocolError("a frame is neither a request nor a credit")
        return True

    def _request(self, header, payload):
        number = header.get("id")
        if isinstance(number, bool) or not isinstance(number, int):
            raise ProtocolError("a request has no id")

        def done(answer):
            result, data = answer
            if len(data) > PAYLOAD_LIMIT:
                data = data[:PAYLOAD_LIMIT]
            self._channel.send({"id": number, "result": result}, data)

        def failed(error):
            self._channel.send({"id": number, "error": self._explain(error, header["method"]).as_json()})

        try:
            answer = self._methods.call(header["method"], header.get("params", {}), payload)
        except Exception as error:
            failed(error)
            return
        if isinstance(answer, tuple):
            done(answer)
        else:
            self.jobs.add(answer, done, failed)

    @staticmethod
    def _explain(error, method):
        if isinstance(error, AgentError):
            return error
        if isinstance(error, OSError):
            return from_os_error(error, method)
        import traceback
        traceback.print_exception(type(error), error, error.__traceback__)
        return AgentError("internal", "The agent failed at %s: %s: %s." % (method, type(error).__name__, error))

    def _give_credit(self, header):
        watch = self.watches.get(header.get("watch"))
        credit = header["credit"]
        if isinstance(credit, bool) or not isinstance(credit, int) or credit < 0:
            raise ProtocolError("a credit is no number of bytes")
        if watch is not None:  # it may just have been stopped
            watch.credit = min(WINDOW, watch.credit + credit)

    # Watches

    def watch(self, attempt, cursors, more):
        """Starts a watch; gives the reply's result. Its notifications follow the reply, or, while `more` cursors
        are to come, the last of them."""
        number = self._next_watch
        self._next_watch += 1
        self.watches[number] = Watch(number, attempt, self._channel, self.jobs, self)
        self.watches[number].take_cursors(cursors, more)
        return {"watch": number}

    def _run_watches(self, now):
        for watch in list(self.watches.values()):
            if now >= watch.next_look and not watch.ended:
                watch.look(now)
        # By turns, one frame each, so that a chatty run does not drown the others.
        hungry = [watch for watch in self.watches.values() if watch.hungry]
        while hungry and self._channel.has_room:
            for watch in hungry:
                if self._channel.has_room and watch.hungry:
                    watch.send_some()
                    # The next turn starts behind the one that was served last.
                    self.watches[watch.number] = self.watches.pop(watch.number)
            hungry = [watch for watch in hungry if watch.hungry]

    def place_of(self, attempt):
        """What a waiting attempt's status says of its place in the queue, None when it does not wait. Of a job of
        Slurm also what it says later."""
        if is_job(attempt):
            return self.slurm.queue.describe(attempt, began=state_of(attempt) != "Queued") or None
        seq = self._tickets.get(attempt.key)
        if seq is None:
            seq = (read_object(attempt.launch) or {}).get("ticket")
            if not isinstance(seq, int):
                return None
            if len(self._tickets) > 10000:
                self._tickets.clear()
            self._tickets[attempt.key] = seq
        return self.line.place(seq)

    def is_guarded(self, attempt):
        """Whether a supervisor may still write what its attempt's status is to be."""
        return is_held(attempt.lock) and not (is_job(attempt) and is_over(self.slurm.queue, attempt))

    # Looking after the host's runs

    def kick(self):
        """Starts the supervisors of those who are first in line."""
        try:
            self._kicker.kick()
        except OSError as error:
            print("the queue could not be kicked: %s" % error, file=sys.stderr)

    def _look_after_runs(self):
        yield from self.recovery.find()
        self.jobs.add(self.slurm.queue.watch(self.slurm.needed))
        self.jobs.add(self.slurm.watch())
        yield from self.recovery.watch(self.jobs)


def main(root, nonce, version, blobs):
    """Serves one channel on stdin and stdout; gives the exit code."""
    try:
        prepare_root(root)
        Serve(root, version, blobs).run(nonce)
    except ProtocolError as error:
        print("runyard agent: protocol error: %s; the channel is closed" % error, file=sys.stderr)
        return 2
    except OSError as error:
        print("runyard agent: %s" % from_os_error(error, "serving %s" % root).message, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0
