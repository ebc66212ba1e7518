"""Logs metrics, parameters, images, tables and files of a training script to its Runyard run.

    import runyard
    runyard.log("train/loss", 0.31, step=12)

Nothing has to be set up: inside a run the values appear live, outside one a single line on stderr says that they
go nowhere. Logging costs microseconds, is safe in threads, forks and `multiprocessing`, and never raises because
of a full disk. Wrong types raise TypeError before anything is written.

Of several processes of a run (torch.distributed, MPI, `torchrun`, `srun`) only rank 0 logs; what others log goes
nowhere, after one line on stderr, and costs nothing. With RUNYARD_LOG_RANKS=all (`logRanks: all` in the run
configuration) metrics, tables and images of rank 3 are kept too, as `<name>/rank_3`. Files are kept from every rank,
parameters and tags from rank 0 only.
"""

import os
from time import time as _time

from . import endings as _endings
from . import ranks as _ranks
from . import values as _values
from .journal import MANY as _MANY
from .journal import Journal as _Journal
from .journal import quote as _quote
from .journal import warn as _warn

__all__ = ["log", "log_metrics", "log_param", "log_params", "set_tag", "set_tags", "log_artifact", "log_image",
           "log_table", "log_row", "log_confusion_matrix", "flush", "run_id", "active"]


def active():
    """True inside a run."""
    return _journal is not None


def run_id():
    """The id of the run, None outside of one."""
    return os.environ.get("RUNYARD_RUN_ID") if active() else None


def log(name, value, step=None):
    """Logs one point of a metric.

    `value` is a number (also a numpy scalar or a tensor of one element), `step` a whole number; without it the
    points of each metric are counted. TypeError when `value` is no number.
    """
    if type(value) is not float or type(name) is not str or not name or not (step is None or type(step) is int):
        name, value, step = _values.name_of(name), _values.number(value), _values.step_number(step)
    if _get(b"RANK") is not _rank or _get(b"WORLD_SIZE") is not _world:
        _look_again()
    if _suffix != "":
        if _suffix is None:
            _other_rank()
            return
        name += _suffix
    journal = _journal
    if journal is None:
        _say_once()
        return
    journal.put((_time(), name, value, step))
    if len(journal.waiting) > _MANY:
        journal.flush()


def log_metrics(metrics, step=None):
    """Logs one point of each metric of a dict {name: number}, all at the same step."""
    if not isinstance(metrics, dict):
        raise TypeError("metrics must be a dict, not %s" % type(metrics).__name__)
    if not _is_kept():
        return
    suffix = _suffix
    members = []
    for name, value in metrics.items():
        key = _keys.get((name, suffix)) or _key(name, suffix)
        if type(value) is not float:
            value = _values.number(value)
        value = repr(value)
        members.append(key + (value if value[-1] not in "nf" else _values.NON_FINITE[value]))
    if step is None:
        _put('"m":{%s}' % ",".join(members))
    else:
        _put('"m":{%s},"s":%d' % (",".join(members), step if type(step) is int else _values.step_number(step)))


def log_param(name, value):
    """Logs a parameter (kept as a string). A parameter keeps its first value."""
    log_params({name: value})


def log_params(params):
    """Logs parameters {name: value}; values are kept as strings."""
    members = _values.strings(params, "params")
    if _is_kept() and not _suffix:
        _put('"params":{%s}' % members)


def set_tag(name, value):
    """Sets a tag (a string); a later value replaces an earlier one."""
    set_tags({name: value})


def set_tags(tags):
    """Sets tags {name: value}; values are kept as strings."""
    members = _values.strings(tags, "tags")
    if _is_kept() and not _suffix:
        _put('"tags":{%s}' % members)


def log_table(name, columns):
    """Logs a table {column: [values]}; a later table of the same name adds its rows."""
    from . import documents
    if _is_kept():
        _put(documents.members("table", _named(name), documents.table(columns)))


def log_row(name, **columns):
    """Adds one row to a table."""
    from . import documents
    if _is_kept():
        _put(documents.members("table", _named(name), documents.row(columns)))


def log_confusion_matrix(name, matrix, labels=None):
    """Logs a confusion matrix: rows are the true classes, columns the predicted ones.

    `matrix` is a square list of lists (or array), or Azure's dict {"schema_type": "confusion_matrix", "data":
    {"class_labels", "matrix"}}; `labels` name the classes (0, 1, ... without).
    """
    from . import documents
    if _is_kept():
        _put(documents.members("confusion_matrix", _named(name), documents.confusion_matrix(matrix, labels)))


def log_artifact(local_path, artifact_path=None):
    """Keeps a copy of a file or folder with the run, in the folder `artifact_path` of its artifacts, from any rank.

    FileNotFoundError when there is no such file, ValueError for an artifact path that leads elsewhere. A full disk
    is told on stderr and raises nothing.
    """
    from . import keeping
    local_path = os.fspath(local_path)
    if not os.path.exists(local_path):
        raise FileNotFoundError(2, "there is no file to keep", local_path)
    path = keeping.target_path(local_path, artifact_path)
    if not active():
        _say_once()
        return
    try:
        kept = keeping.keep(local_path, _artifacts(), path)
    except OSError as error:
        _warn("%s could not be kept as an artifact: %s" % (local_path, error))
        return
    for path in kept:
        _put('"artifact":{"path":%s}' % _quote(path))


def log_image(name, image, step=None):
    """Logs an image: a file's path, the bytes of a PNG (JPEG, GIF, WebP, SVG), or a matplotlib figure."""
    from . import keeping
    name, step = _values.name_of(name), _values.step_number(step)
    if not active():
        _say_once()
        return
    if not _is_kept():
        return
    name = _named(name)
    try:
        path = keeping.keep_image(name, image, step, _artifacts())
    except OSError as error:
        _warn("image %s could not be kept: %s" % (name, error))
        return
    _put('"image":{"name":%s,"path":%s}%s' % (_quote(name), _quote(path), "" if step is None else ',"s":%d' % step))


def flush():
    """Returns when everything logged so far in this process is written to the run's journal."""
    if _journal is not None:
        _journal.flush()


def _put(members):
    journal = _journal
    if journal is None:
        _say_once()
        return
    journal.put((_time(), None, members, None))
    if len(journal.waiting) > _MANY:
        journal.flush()


def _key(name, suffix):
    """The name of a metric as a JSON key; kept, since names come again and again."""
    key = _quote(_values.name_of(name) + suffix) + ":"
    if len(_keys) < 20000:
        _keys[(name, suffix)] = key
    return key


def _named(name):
    """A name as this rank's."""
    return _values.name_of(name) + _suffix


def _is_kept():
    """Whether what this process logs is kept: says once when it is not."""
    if _get(b"RANK") is not _rank or _get(b"WORLD_SIZE") is not _world:
        _look_again()
    if _suffix is None:
        _other_rank()
    return _suffix is not None


def _look_again():
    """Finds out which rank this is: at the first line, and after RANK or WORLD_SIZE were set (as the functions of
    torch.multiprocessing.spawn do it)."""
    global _rank, _world, _suffix
    _rank, _world = _get(b"RANK"), _get(b"WORLD_SIZE")
    _suffix = _ranks.suffix()


def _other_rank():
    global _rank_said
    if not _rank_said:
        _rank_said = True
        if _journal is None:
            _say_once()
            return
        _warn("what rank %d logs is not kept: metrics come from rank 0. `logRanks: all` in the run configuration "
              "(or RUNYARD_LOG_RANKS=all) keeps those of every rank." % _ranks.rank())


def _artifacts():
    return os.path.join(os.environ.get("RUNYARD_RUN_DIR") or os.path.dirname(_FOLDER), "artifacts")


def _say_once():
    global _said
    if not _said:
        _said = True
        _warn("this process is not inside a run, so nothing is kept. Submit the folder with Runyard "
              "(Submit Run in VS Code, or `runyard run submit FOLDER`) and it goes to that run's page.")


def _forked():
    """In a fork's child: a journal of its own, without what the parent has not yet written."""
    if _journal is not None:
        _follow(_journal)


def _follow(inherited):
    """The journal that stands in a fork's child in the place of the inherited one. Takes no lock."""
    global _journal
    if _journal is inherited:
        _journal = inherited.successor()
    return _journal


_FOLDER = os.environ.get("RUNYARD_JOURNAL")
_journal = _Journal(_FOLDER) if _FOLDER else None
_said = _rank_said = False
_keys = {}

#: Looks at a variable without decoding it: a line costs a microsecond, and may be the one after RANK was set.
_get = getattr(os.environ, "_data", {}).get
_rank = _world = object()  # not looked at yet
_suffix = ""

if _endings.FORK_IS_TOLD:
    os.register_at_fork(after_in_child=_forked)
