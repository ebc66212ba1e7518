"""run.submit: everything is checked, then the attempt's folder appears as a whole, with its place in the queue."""

import os
import shutil

from . import blobs, checks, environment, gpus, manifest, record, slurm_tickets, spec
from .atomic import write_json
from .errors import AgentError
from .launch import own_launcher
from .layout import Attempt
from .slurm_attempt import make_folders
from .spec_environment import contexts

#: Blobs looked up between two turns of the event loop.
_SLICE = 500


def submit(root, store, line, params):
    """A generator (turns of the event loop) that returns `(Attempt, result)`. AgentError when it is refused."""
    wanted = spec.check(params.get("spec"))
    variables = params.get("environment")
    if variables is not None:
        spec.check_variables(variables, "environment")
    attempt = Attempt(root, wanted["run"], wanted["attempt"])
    if attempt.exists():
        return attempt, _existing(attempt)
    # Folders of blobs that the server shares with this host: nothing of them was sent.
    folders = store.folders + checks.absolute_paths(params.get("blobs"), "blobs")
    for _ in check_manifest(folders, wanted["manifest"], "the snapshot"):
        yield
    for hash in contexts(wanted["environment"]):
        for _ in check_manifest(folders, hash, "the environment's files"):
            yield
    resources = wanted["resources"]
    if wanted["slurm"] is None and resources["gpus"] > len(gpus.listed(root)):
        raise AgentError("bad_request", "The run asks for %d GPUs; this host has %d."
                         % (resources["gpus"], len(gpus.listed(root))), "Ask for fewer, or choose another target.")
    parent = os.path.dirname(attempt.folder)
    os.makedirs(parent, mode=0o700, exist_ok=True)
    temporary = "%s/.new-%d-%d" % (parent, attempt.number, os.getpid())
    try:
        if wanted["slurm"] is not None:
            seq = _write_job(temporary, attempt, folders, line, wanted)
        else:
            seq = _write(temporary, attempt, folders, line, wanted, environment.base(wanted, variables))
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if seq is None:
        shutil.rmtree(temporary, ignore_errors=True)
        return attempt, _existing(attempt)
    return attempt, {"state": "Queued", "existing": False}


def _existing(attempt):
    return {"state": record.state_of(attempt) or "Queued", "existing": True}


def _write(temporary, attempt, folders, line, wanted, variables):
    """Fills the temporary folder and moves it into place; None when another one was quicker."""
    shutil.rmtree(temporary, ignore_errors=True)
    make_folders(temporary)
    write_json(temporary + "/spec.json", wanted)
    write_json(temporary + "/environment.json", variables)
    launcher = own_launcher()
    record.write_first(temporary, "Submitted")
    with line.locked():
        if attempt.exists():
            return None
        # First the ticket, then the folder: a ticket without a folder is cleared away, a folder without a
        # ticket would wait for ever.
        seq = line.add(attempt.run, attempt.number, wanted["resources"]["slots"], wanted["resources"]["gpus"],
                       launcher)
        try:
            write_json(temporary + "/launch.json", {"ticket": seq, "launcher": launcher, "blobs": folders})
            os.rename(temporary, attempt.folder)
        except BaseException:
            line.withdraw(seq)
            raise
    return seq


def _write_job(temporary, attempt, folders, line, wanted):
    """The same for a job of Slurm: its variables are those that the job has, and its queue is Slurm's."""
    shutil.rmtree(temporary, ignore_errors=True)
    make_folders(temporary)
    os.mkdir(temporary + "/slurm", 0o700)
    write_json(temporary + "/spec.json", wanted)
    write_json(temporary + "/launch.json", {"ticket": None, "launcher": own_launcher(), "blobs": folders})
    record.write_first(temporary, "Submitted")
    with line.locked():
        if attempt.exists():
            return None
        ticket = slurm_tickets.add(attempt.root, attempt)
        try:
            os.rename(temporary, attempt.folder)
        except BaseException:
            slurm_tickets.remove(ticket)
            raise
    return ticket


def check_manifest(folders, hash, what):
    """A generator (turns): a manifest and all that it names must be here, and count as used. AgentError not_found
    otherwise; `what` they are stands in it."""
    found = blobs.use(folders, hash)
    if found is None:
        raise AgentError("not_found", "The manifest %s of %s is not on the host." % (hash, what),
                         "Send its blobs first.")
    count, missing = 0, []
    for entry in manifest.parse(blobs.read_checked(found[0], hash)):
        if entry.hash is None:
            continue
        count += 1
        if count % _SLICE == 0:
            yield
        found = blobs.use(folders, entry.hash)
        if found is not None and found[1] != entry.size:
            # What a crash of the host left of it; it is sent again.
            if found[0].startswith(folders[0] + "/"):
                os.unlink(found[0])
            found = None
        if found is None:
            missing.append(entry)
    if missing:
        raise AgentError("not_found", "%d of %d files of %s are not on the host (%s, ...)."
                         % (len(missing), count, what, missing[0].path), "Send the missing blobs, then submit again.")
