"""Values of a script as JSON: numbers of any library, tables of them."""

from .journal import NON_FINITE, quote

#: The longest name of a metric, tag or parameter.
LONGEST_NAME = 1024

#: Beyond this a whole number is no longer exact in JSON readers; it is sent as the nearest float.
EXACT = 1 << 53


def number(value):
    """An int or float for a metric. Takes what has one number (numpy scalar, tensor, Decimal). TypeError else."""
    kind = type(value)
    if kind is float:
        return value
    if kind is bool:
        return int(value)
    if isinstance(value, int):
        return _whole(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, (str, bytes, bytearray, complex)) or value is None:
        raise TypeError("a metric must be a number, not %s" % kind.__name__)
    item = getattr(value, "item", None)
    if callable(item):
        try:
            value = item()
        except (TypeError, ValueError, RuntimeError):
            raise TypeError("a metric must be one number, not a %s of several" % kind.__name__)
        if isinstance(value, (int, float)):
            return number(value)
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError("a metric must be a number, not %s" % kind.__name__)


def _whole(value):
    value = int(value)
    if -EXACT <= value <= EXACT:
        return value
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def step_number(step):
    """A step as an int, None stays None. TypeError for what is no whole number."""
    if step is None or type(step) is int:
        found = step
    elif isinstance(step, float) and step == int(step):
        found = int(step)
    else:
        try:
            found = step.__index__()
        except AttributeError:
            item = getattr(step, "item", None)
            found = item() if callable(item) else None
            if not isinstance(found, int):
                raise TypeError("a step must be a whole number, not %s" % type(step).__name__)
    if found is not None and not -EXACT <= found <= EXACT:
        raise ValueError("a step must be between -2**53 and 2**53, not %d" % found)
    return found


def name_of(name):
    """`name` if it can name a metric, tag or parameter. TypeError or ValueError else."""
    if not isinstance(name, str):
        raise TypeError("a name must be a string, not %s" % type(name).__name__)
    if not name:
        raise ValueError("a name must not be empty")
    if len(name) > LONGEST_NAME:
        raise ValueError("a name must have at most %d characters, not %d" % (LONGEST_NAME, len(name)))
    return str(name)


def number_text(value):
    """The JSON of a number; NaN and the infinities are strings."""
    text = repr(value)
    return NON_FINITE[text] if text[-1] in "nf" else text


def strings(values, what):
    """`"key":"value",...` for tags and parameters; values become strings."""
    if not isinstance(values, dict):
        raise TypeError("%s must be a dict, not %s" % (what, type(values).__name__))
    return ",".join("%s:%s" % (quote(name_of(name)), quote(str(value))) for name, value in values.items())


def plain(value):
    """A cell of a table as something JSON knows. TypeError for anything else."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {str(key): plain(each) for key, each in value.items()}
    to_list = getattr(value, "tolist", None)
    if callable(to_list) and not isinstance(value, (int, float)):
        return plain(to_list())
    found = number(value)
    if found != found or found in (float("inf"), float("-inf")):
        return number_text(found)[1:-1]
    return found
