"""One subscription to one attempt: its status, its streamed files, its artifacts, and the end."""

import json
import os
import time

from . import artifacts
from .atomic import read_object
from .frames import PAYLOAD_LIMIT
from .record import TERMINAL, read_status
from .shared_files import SharedFiles
from .slurm_attempt import is_job
from .stream import CHUNK, Stream
from .text import path_text

#: Payload bytes that may be under way before the server says that it has stored some.
WINDOW = 4 << 20

#: Seconds between two looks: while something comes, while nothing does, and while only a ticket waits in line.
BUSY, IDLE, WAITING = 0.045, 0.09, 0.25

#: The same just after a change of state, when somebody waits for the first line.
EAGER, _EAGER_FOR = 0.015, 1.0

#: Seconds for which a watch waits for the rest of its cursors.
_FOR_CURSORS = 3600.0

#: Seconds after a look that failed.
_AFTER_FAILURE = 1.0

#: Seconds after the last byte for which a watch counts as busy.
_BUSY_FOR = 5.0

#: Bytes that the ends of files take in a header, beside a listing.
_ENDS = 100000

#: Seconds between two looks at the artifacts and at logs/.
_FILES = 3.0
_LOGS = 1.0

_FIXED = (("events.jsonl", "events.jsonl"), ("monitor.jsonl", "monitor.jsonl"),
          ("user_logs/build_log.txt", "user_logs/build_log.txt"), ("user_logs/std_log.txt", "user_logs/std_log.txt"))


class Watch(object):
    """Sends what an attempt writes. `look` finds what is new, `send_some` sends one frame of it."""

    def __init__(self, number, attempt, channel, jobs, server):
        self.number = number
        self.attempt = attempt
        self.credit = WINDOW
        self.next_look = 0.0
        self.ended = False
        self._cursors = {}
        self._channel = channel
        self._jobs = jobs
        self._place_of = server.place_of
        self._is_guarded = server.is_guarded
        self._job = is_job(attempt)
        self._shared = SharedFiles(attempt.root) if self._job else None
        self._streams = {}
        self._hungry = []
        self._status_stamp = None
        self._place_stamp = None
        self._state = None
        self._active = self._changed = time.monotonic()
        self._folders = {}
        self._next_files = 0.0
        self._next_logs = 0.0
        self._walking = False
        self._files = None
        self._several = (read_object(attempt.spec) or {}).get("distributed") is not None
        self._last = False  # the state was terminal before the present look at the files
        self._draining = False

    def take_cursors(self, cursors, more):
        """Where the server is in the files; with `more` to come nothing is looked at yet."""
        self._cursors.update(cursors)
        if more:
            self.next_look = time.monotonic() + _FOR_CURSORS
            return
        self.next_look = 0.0
        for name, path in _FIXED:
            self._open(name, self.attempt.folder + "/" + path)

    def look(self, now):
        """Looks at everything that is due."""
        if self._shared is not None and self._shared.delays:
            self._refresh()
        terminal = self._look_at_status()
        self._look_at_folder(now, self.attempt.journal, "journal/", ".jsonl")
        if self._several:
            self._look_at_folder(now, self.attempt.folder + "/user_logs", "user_logs/", ".txt")
        if terminal and not self._draining:
            # The run's processes are gone: what is there now is all. The final walk of logs/ comes first.
            if not self._walking:
                self._draining = True
                self._walk("logs/", self._last_logs)
        elif not terminal:
            if now >= self._next_logs and not self._walking:
                self._next_logs = now + _LOGS
                self._walk("logs/", self._take_logs)
            elif now >= self._next_files and not self._walking:
                self._walk(None, self._take_files)
        self._hungry = [stream for stream in self._streams.values() if stream.check(terminal)]
        if self._hungry:
            self._active = now
        if self._last and not self._hungry and not self.ended:
            self.ended = True
            self._jobs.add(artifacts.hashed_listing(self.attempt), self._finish, self._broken)
        self.next_look = now + self._pause(now)

    def _pause(self, now):
        if now - self._changed < _EAGER_FOR:
            pause = EAGER
        elif self._state == "Queued":
            pause = WAITING if now - self._active > 2 else BUSY
        else:
            pause = BUSY if now - self._active < _BUSY_FOR or self._draining else IDLE
        return pause * max(1.0, len(self._streams) / 100.0)

    @property
    def hungry(self):
        """True when there is something to send and credit to send it."""
        return bool(self._hungry) and self.credit > 0

    def send_some(self):
        """Sends one frame of the file whose turn it is."""
        stream = self._hungry.pop(0)
        found = stream.read(min(self.credit, PAYLOAD_LIMIT), self._draining)
        if found is None:
            return
        offset, data = found
        self.credit -= len(data)
        self._channel.send_data({"watch": self.number, "kind": "data", "file": stream.name,
                                 "generation": stream.generation, "offset": offset}, data)
        if len(data) >= CHUNK // 2 or stream.check(self._draining):
            self._hungry.append(stream)

    # What is new

    def _look_at_status(self):
        """Sends the status when it changed; True when it is terminal."""
        try:
            found = os.stat(self.attempt.status)
        except OSError:
            return self._state in TERMINAL
        stamp = (found.st_ino, found.st_mtime_ns, found.st_size)
        place = self._place_of(self.attempt) if self._job or self._state in (None, "Queued") else None
        if stamp == self._status_stamp and place == self._place_stamp:
            return self._state in TERMINAL
        status = read_status(self.attempt)
        # The supervisor writes the end as its last deed: while it lives, an end is somebody else's word.
        if status is None or (status["state"] in TERMINAL and self._is_guarded(self.attempt)):
            return False
        self._status_stamp, self._place_stamp = stamp, place
        if place is not None and (self._job or status["state"] == "Queued"):
            status.update(place)
        if status["state"] != self._state:
            self._state = status["state"]
            self._active = self._changed = time.monotonic()
        self._channel.send({"watch": self.number, "kind": "status", "status": status})
        return self._state in TERMINAL

    def _refresh(self):
        """What other hosts have written is seen from now on."""
        for folder in (self.attempt.folder, self.attempt.journal, self.attempt.folder + "/user_logs"):
            self._shared.refresh(folder)
        self._shared.refresh_file(self.attempt.status)
        for stream in self._streams.values():
            self._shared.refresh_file(stream.path)

    def _look_at_folder(self, now, folder, prefix, ending):
        """Follows the files in a folder that have this ending."""
        try:
            stamp = os.stat(folder).st_mtime_ns
        except OSError:
            return
        known, looked = self._folders.get(folder, (None, 0.0))
        # Within the clock's coarse tick a second file does not change the folder's time again.
        if stamp == known and (now - looked < 5.0 and time.time() - stamp / 1e9 > 1.0):
            return
        self._folders[folder] = (stamp, now)
        for name in sorted(os.listdir(folder)):
            if name.endswith(ending):
                self._open(prefix + path_text(name), folder + "/" + name)

    def _open(self, name, path):
        if name not in self._streams:
            self._streams[name] = Stream(name, path, self._cursors.pop(name, None))

    # What takes longer

    def _walk(self, only, done):
        self._walking = True
        started = time.monotonic()

        def finished(found):
            self._walking = False
            if only is None:
                self._next_files = time.monotonic() + max(_FILES, 20 * (time.monotonic() - started))
            else:
                self._next_logs = time.monotonic() + max(_LOGS, 20 * (time.monotonic() - started))
            done(found)

        self._jobs.add(artifacts.walk(self.attempt, only), finished, self._broken)

    def _take_logs(self, found):
        for path, file, _ in found:
            self._open(path, file)

    def _last_logs(self, found):
        self._take_logs(found)
        self._last = True
        self.next_look = 0.0

    def _take_files(self, found):
        files = artifacts.listing(found)
        if files != self._files and not self._draining:
            self._files = files
            self._channel.send(self._with_files({"watch": self.number, "kind": "files"}, files))

    def _finish(self, files):
        ends = {}
        size = 0
        for name, stream in self._streams.items():
            if stream.generation is None:
                continue
            end = stream.end()
            size += len(json.dumps([name, end]))
            if size > _ENDS:
                # As with the files: thousands of logs do not fit into one header.
                self._channel.send_data({"watch": self.number, "kind": "ends", "ends": ends}, b"")
                ends, size = {}, 0
            ends[name] = end
        # Behind the data that it ends, on however slow a line.
        self._channel.send_data(self._with_files({"watch": self.number, "kind": "end", "ends": ends}, files), b"")

    def _broken(self, error):
        """One look failed, which must not end the channel: everything is looked at again."""
        import traceback  # late: it costs memory
        traceback.print_exception(type(error), error, error.__traceback__)
        self._walking = self._draining = self._last = self.ended = False
        self.next_look = time.monotonic() + _AFTER_FAILURE

    @staticmethod
    def _with_files(header, files):
        """A listing that is too long for a header is cut, with `more`: the server asks for the rest by `run.files`."""
        files, more = artifacts.page(files, None)
        return dict(header, files=files, more=True) if more else dict(header, files=files)
