"""The methods of the channel. Each gives `(result, payload)`, or a generator that returns it after some turns."""

import json
import os
import signal

from . import PROTOCOL, artifacts, canary, checks, config, engine_methods, gpus, interpreter, processes
from .atomic import read_object, write_json
from .environment_methods import EnvironmentMethods
from .errors import AgentError, is_full
from .facts import facts
from .host import disk_free, memory_total
from .layout import Attempt, all_attempts, attempts_of
from .load import HostLoad, memory_used
from .locks import is_held, try_lock
from .predecessor import take_over
from .record import TERMINAL, Record, now_ms, read_status, state_of
from .removal import set_apart
from .slurm_attempt import is_job
from .slurm_methods import SlurmMethods, latest_of
from .spec import check_variables
from .submit import submit

#: The longest piece of a file in one reply, bytes.
_PIECE = 1 << 20


class Methods(object):
    """Answers requests; `server` is the Serve they belong to."""

    def __init__(self, server):
        self._server = server
        self._root = server.root
        self._line = server.line
        self._store = server.store
        self._load = HostLoad()
        self._probe = gpus.LoadProbe()
        self._table = {
            "hello": self._hello, "host.load": self._host_load, "host.configure": self._host_configure,
            "host.interpreter": self._interpreter, "host.clean": self._clean,
            "host.engine": self._engine, "host.engine.canary": self._engine_canary,
            "host.canary": self._canary, "host.canary.check": self._canary_check,
            "blobs.missing": self._blobs_missing, "blobs.put": self._blobs_put,
            "run.submit": self._submit, "run.cancel": self._cancel, "run.status": self._status,
            "runs.list": self._list, "run.watch": self._watch, "watch.cursors": self._more_cursors,
            "watch.stop": self._stop,
            "run.files": self._files, "file.read": self._read, "files.read": self._read_many,
            "run.collected": self._collected, "run.delete": self._delete,
        }
        self._table.update(EnvironmentMethods(server.root, server.store).table)
        self._slurm = SlurmMethods(server.root, server.slurm)
        self._table.update(self._slurm.table)

    def call(self, method, params, payload):
        """The answer to one request. AgentError unsupported for an unknown method."""
        found = self._table.get(method) if isinstance(method, str) else None
        if found is None:
            raise AgentError("unsupported", "This agent knows no method %s." % checks.shown(method))
        if not isinstance(params, dict):
            raise AgentError("bad_request", "params must be an object.")
        return found(params, payload)

    # The host

    def _hello(self, params, _):
        if params.get("protocol") != PROTOCOL:
            raise AgentError("unsupported", "The server speaks protocol %s; this agent speaks %d."
                             % (checks.shown(params.get("protocol")), PROTOCOL))
        if params.get("session") is not None:
            take_over(self._root, params["session"])
        yield from gpus.ask(self._root)
        return {"protocol": PROTOCOL, "agent": self._server.version, "pid": os.getpid(), "root": self._root,
                "facts": facts(self._root)}, b""

    def _host_load(self, _params, _):
        if gpus.present():
            self._probe.start()
            while self._probe.tool is not None:
                self._probe.poll()
                yield 0.02
        yield from gpus.ask(self._root)
        running, queued = self._line.counts()
        return {"cpu": self._load.cpu(), "memory_used": memory_used(), "memory_total": memory_total(),
                "gpus": self._probe.latest, "disk_free": disk_free(self._root), "running": running,
                "queued": queued, "slots": self._line.slots()}, b""

    def _host_configure(self, params, _):
        self._line.configure(config.check(params))
        self._server.kick()
        return {}, b""

    def _canary(self, params, _):
        return (yield from canary.release(params)), b""

    def _canary_check(self, params, _):
        return canary.look(params), b""

    def _engine(self, params, _):
        return (yield from engine_methods.describe(self._root, _variables(params))), b""

    def _engine_canary(self, params, _):
        return (yield from engine_methods.canary(self._root, _variables(params))), b""

    def _clean(self, _params, _):
        return (yield from self._server.clean_up.now()), b""

    @staticmethod
    def _interpreter(params, _):
        return interpreter.look(params.get("interpreter"))

    # Blobs

    def _blobs_missing(self, _params, payload):
        return {}, (yield from self._store.missing(payload))

    def _blobs_put(self, params, payload):
        self._store.put(params.get("pieces"), payload)
        return {}, b""

    # Runs

    def _submit(self, params, _):
        yield from gpus.ask(self._root)
        attempt, result = yield from submit(self._root, self._store, self._line, params)
        if not result["existing"] or result["state"] not in TERMINAL:
            self._server.recovery.add(attempt)
        self._server.kick()
        return result, b""

    def _cancel(self, params, _):
        attempt = self._attempt(params)
        reason = params.get("reason")
        reason = reason if isinstance(reason, str) and reason else "Canceled"
        if self._state(attempt) in TERMINAL and not is_job(attempt) and not is_held(attempt.lock):
            return {}, b""
        written = _write_cancel(attempt, reason)
        if is_job(attempt):
            return self._cancel_job(attempt, reason, written)
        lock = try_lock(attempt.lock)
        if lock is None:
            # On a full disk the signal alone must do.
            self._tell(attempt, signal.SIGUSR1 if written else signal.SIGUSR2)
        else:
            try:
                self._cancel_waiting(attempt, reason)
            finally:
                os.close(lock)
        return {}, b""

    def _cancel_job(self, attempt, reason, written):
        latest = latest_of(attempt)
        if latest is not attempt:
            written = _write_cancel(latest, reason)
        yield from self._slurm.cancel(latest, written)
        return {}, b""

    @staticmethod
    def _tell(attempt, number):
        supervisor = (read_status(attempt) or {}).get("supervisor")
        if supervisor:
            processes.send(supervisor["pid"], supervisor.get("start"), number)

    def _cancel_waiting(self, attempt, reason):
        """Cancels an attempt that is only a ticket; the caller holds its lock."""
        seq = (read_object(attempt.launch) or {}).get("ticket")
        with self._line.locked():
            if not self._line.holds_ticket(seq, attempt.run, attempt.number):
                return  # its supervisor is lost; the recovery ends it
            self._line.withdraw(seq)
        record = Record(attempt)
        record.change("Canceled", reason, supervisor=None, queue=None)
        try:
            os.unlink(attempt.environment)
        except OSError:
            pass
        if not record.write():
            self._server.jobs.add(_write_later(record))

    def _status(self, params, _):
        attempt = self._attempt(params)
        return {"status": self._full_status(attempt)}, b""

    def _list(self, params, _):
        after = params.get("after")
        if after is not None:
            if not isinstance(after, list) or len(after) != 2:
                raise AgentError("bad_request", "after must be [run, attempt].")
            after = (checks.run_id(after[0]), checks.attempt_number(after[1]))
        found = []
        for count, attempt in enumerate(all_attempts(self._root)):
            found.append(attempt)
            if count % 200 == 0:
                yield
        found.sort(key=lambda attempt: attempt.key)
        listed = []
        size = 0
        for count, attempt in enumerate(found):
            if count % 20 == 0:
                yield
            if after is not None and attempt.key <= after:
                continue
            entry = {"run": attempt.run, "attempt": attempt.number, "status": self._full_status(attempt)}
            size += len(json.dumps(entry)) + 2
            if size > artifacts.LISTING_LIMIT:
                return {"attempts": listed, "more": True}, b""
            listed.append(entry)
        return {"attempts": listed, "more": False}, b""

    def _watch(self, params, _):
        attempt = self._attempt(params)
        return self._server.watch(attempt, _cursors(params), params.get("more") is True), b""

    def _more_cursors(self, params, _):
        watch = self._server.watches.get(params.get("watch"))
        if watch is None:
            raise AgentError("not_found", "There is no watch %s." % checks.shown(params.get("watch")))
        watch.take_cursors(_cursors(params), params.get("more") is True)
        return {}, b""

    def _stop(self, params, _):
        if self._server.watches.pop(params.get("watch"), None) is None:
            raise AgentError("not_found", "There is no watch %s." % checks.shown(params.get("watch")))
        return {}, b""

    def _files(self, params, _):
        attempt = self._attempt(params)
        after = params.get("after")
        if self._state(attempt) in TERMINAL:
            files = yield from artifacts.hashed_listing(attempt)
        else:
            files = artifacts.listing((yield from artifacts.walk(attempt)))
        files, more = artifacts.page(files, after if isinstance(after, str) else None)
        return {"files": files, "more": more}, b""

    def _read(self, params, _):
        attempt = self._attempt(params)
        offset = checks.number(params.get("offset", 0), "offset", 0, 1 << 62)
        length = checks.number(params.get("length"), "length", 0, _PIECE)
        size, data = artifacts.read(attempt, params.get("path"), offset, length)
        return {"size": size}, data

    def _read_many(self, params, _):
        sizes, data = yield from artifacts.read_many(self._attempt(params), params.get("paths"), _PIECE)
        return {"sizes": sizes}, data

    def _collected(self, params, _):
        attempt = self._attempt(params)
        only_here = params.get("only_here")
        if not isinstance(only_here, list) or not all(isinstance(path, str) for path in only_here):
            raise AgentError("bad_request", "only_here must be a list of paths.")
        yield from self._check_ended(attempt, "It is collected once it has ended.")
        # Under the queue's lock, so that no clean-up goes by what was said before.
        with self._line.locked():
            self._attempt(params)
            write_json(attempt.collected, {"time": now_ms(), "only_here": only_here})
        return {}, b""

    def _delete(self, params, _):
        run = checks.run_id(params.get("run"))
        folder = "%s/runs/%s" % (self._root, run)
        if not os.path.isdir(folder):
            raise AgentError("not_found", "The host has no run %s." % run)
        for attempt in attempts_of(self._root, run):
            yield from self._check_ended(attempt, "Cancel it first.")
        if os.path.isdir(folder):
            self._server.jobs.add(set_apart(self._root, folder))
        return {}, b""

    # Common

    def _attempt(self, params):
        attempt = Attempt(self._root, checks.run_id(params.get("run")), checks.attempt_number(params.get("attempt")))
        if not attempt.exists():
            raise AgentError("not_found", "The host has no attempt %d of run %s." % (attempt.number, attempt.run))
        return attempt

    def _check_ended(self, attempt, action):
        """A generator (turns) that raises AgentError conflict while an attempt lives."""
        # A supervisor lives on for some milliseconds after it has written the end.
        patience = 250
        while self._state(attempt) in TERMINAL and self._server.is_guarded(attempt) and patience:
            patience -= 1
            yield 0.02
        if self._state(attempt) not in TERMINAL or self._server.is_guarded(attempt):
            raise AgentError("conflict", "Attempt %d of %s has not ended." % (attempt.number, attempt.run), action)

    @staticmethod
    def _state(attempt):
        return state_of(attempt)

    def _full_status(self, attempt):
        status = read_status(attempt)
        if status is not None and (status["state"] == "Queued" or is_job(attempt)):
            status.update(self._server.place_of(attempt) or {"queue": None})
        return status


def _variables(params):
    """Those of whoever asks on this machine; None for a host's own."""
    variables = params.get("variables")
    if variables is not None:
        check_variables(variables, "variables")
    return variables


def _cursors(params):
    """{name: (generation, offset)} of a request."""
    found = {}
    given = params.get("cursors") or {}
    if not isinstance(given, dict):
        raise AgentError("bad_request", "cursors must be an object.")
    for name, cursor in given.items():
        if not isinstance(cursor, dict) or not isinstance(cursor.get("generation"), str):
            raise AgentError("bad_request", "The cursor of %s must have offset and generation."
                             % checks.shown(name))
        found[name] = (cursor["generation"], checks.number(cursor.get("offset"), "offset", 0, 1 << 62))
    return found


def _write_cancel(attempt, reason):
    """True when the wish to cancel is on disk."""
    try:
        write_json(attempt.cancel, {"reason": reason, "t": now_ms()})
        return True
    except OSError as error:
        if not is_full(error):
            raise
        return False


def _write_later(record):
    while not record.write():
        yield 1.0
