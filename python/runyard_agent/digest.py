"""SHA-256: OpenSSL's where Python has it (six times as fast), else the built-in one; never the whole of hashlib."""


def sha256(data=b""):
    """A hash object with `update`, `digest` and `hexdigest`."""
    return _constructor()(data)


def _constructor():
    global _constructor
    try:
        from _hashlib import openssl_sha256 as found
        found()
    except (ImportError, ValueError):
        found = _built_in()
    _constructor = lambda: found  # noqa: E731
    return found


def _built_in():
    for name in ("_sha2", "_sha256"):
        try:
            return __import__(name).sha256
        except ImportError:
            pass
    import hashlib
    return hashlib.sha256


def small_sha256(data):
    """The hex digest of a few bytes, without loading OpenSSL."""
    return _built_in()(data).hexdigest()
