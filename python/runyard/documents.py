"""Tables and confusion matrices."""

import json

from .values import name_of, plain


def members(kind, name, value):
    """The journal members of a document."""
    document = {"type": kind, "name": name_of(name), "value": value}
    return '"document":' + json.dumps(document, separators=(",", ":"), allow_nan=False)


def table(columns):
    """A table's value: columns of one length. TypeError or ValueError for anything else."""
    if not isinstance(columns, dict) or not columns:
        raise TypeError("a table must be a dict of columns that is not empty")
    found = {}
    for name, column in columns.items():
        column = plain(column)
        if not isinstance(column, list):
            raise TypeError("column %r of the table must be a list" % (name,))
        found[name_of(name)] = column
    if len(set(len(column) for column in found.values())) > 1:
        raise ValueError("the table's columns have different lengths: %s"
                         % ", ".join("%s %d" % (name, len(column)) for name, column in found.items()))
    return found


def row(columns):
    """One row as a table's value. ValueError when it is empty."""
    if not columns:
        raise ValueError("a row must have at least one column")
    return {name_of(name): [plain(value)] for name, value in columns.items()}


def confusion_matrix(matrix, labels):
    """`{class_labels, matrix}` of a square matrix, or of Azure's dict with schema_type. ValueError when the
    shapes do not fit."""
    if isinstance(matrix, str):
        matrix = json.loads(matrix)
    if isinstance(matrix, dict):
        if matrix.get("schema_type") not in (None, "confusion_matrix"):
            raise ValueError("this is no confusion matrix but a %s" % matrix["schema_type"])
        data = matrix.get("data", matrix)
        if not isinstance(data, dict) or "matrix" not in data:
            raise ValueError("the confusion matrix has no data.matrix")
        labels = data.get("class_labels") if labels is None else labels
        matrix = data["matrix"]
    rows = plain(matrix)
    if not isinstance(rows, list) or not rows or not all(isinstance(r, list) and len(r) == len(rows) for r in rows):
        raise ValueError("a confusion matrix must have as many columns as rows")
    names = plain(labels) if labels is not None else [str(index) for index in range(len(rows))]
    if not isinstance(names, list) or len(names) != len(rows):
        raise ValueError("the confusion matrix has %d classes but other labels: %s" % (len(rows), names))
    return {"class_labels": names, "matrix": rows}
