"""Text and bytes at the border to the file system, the same in every locale (Python 3.6 in LANG=C would
otherwise use ASCII)."""


def fs(text):
    """The bytes of a path, argument or variable."""
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")


def from_fs(data):
    """The text of a path; bytes that are no UTF-8 survive as surrogates."""
    return data if isinstance(data, str) else data.decode("utf-8", "surrogateescape")


#: Bytes of a name that are no UTF-8, as Python keeps them, and where they are in the protocol's text: characters of
#: the private use area. A lone surrogate is no text for anybody else, and two such names would become one.
_OUT = {0xDC00 + byte: 0xF700 + byte for byte in range(128, 256)}
_BACK = {there: here for here, there in _OUT.items()}
# A name that really has one of these characters is written as if its bytes were no UTF-8.
_OUT.update((code, "".join(chr(0xF700 + byte) for byte in chr(code).encode("utf-8"))) for code in _BACK)


def path_text(data):
    """The text of a path for the protocol: always valid, and different for different paths."""
    return from_fs(data).translate(_OUT)


def path_bytes(text):
    """The path (bytes) whose `path_text` has private use characters for bytes that are no UTF-8."""
    return fs(text.translate(_BACK))
