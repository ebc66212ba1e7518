"""The frames of the channel: u32 header length, u32 payload length (big endian), header, payload."""

import json
import struct

#: Limits of the protocol, bytes.
HEADER_LIMIT = 1 << 20
PAYLOAD_LIMIT = 1 << 20

_LENGTHS = struct.Struct(">II")


class ProtocolError(Exception):
    """The other side broke the protocol; the channel must be closed."""


def encode(header, payload=b""):
    """The buffers of one frame, to be written one after the other. ProtocolError when one is too large."""
    head = json.dumps(header, separators=(",", ":")).encode("ascii")
    if len(head) > HEADER_LIMIT or len(payload) > PAYLOAD_LIMIT:
        raise ProtocolError("a frame of ours is too large: header %d, payload %d bytes" % (len(head), len(payload)))
    start = _LENGTHS.pack(len(head), len(payload)) + head
    return [start, payload] if payload else [start]


class Decoder(object):
    """Bytes in, frames out: `feed` what was read, then take `(header, payload)` from `next` until None."""

    def __init__(self):
        self._chunks = []
        self._have = 0
        self._need = None

    def feed(self, data):
        """Adds bytes as they arrived."""
        if data:
            self._chunks.append(data)
            self._have += len(data)

    def next(self):
        """The next complete frame or None. ProtocolError when the bytes are no frames."""
        if self._need is None:
            if self._have < 8:
                return None
            self._join()
            self._need = _LENGTHS.unpack_from(self._chunks[0])
            if self._need[0] > HEADER_LIMIT or self._need[1] > PAYLOAD_LIMIT:
                raise ProtocolError("a frame has a header of %d and a payload of %d bytes; 1 MiB each is the limit"
                                    % self._need)
        head, payload = self._need
        if self._have < 8 + head + payload:
            return None
        self._join()
        data = self._chunks[0]
        end = 8 + head + payload
        try:
            header = json.loads(data[8:8 + head].decode("utf-8"))
        except ValueError as error:
            raise ProtocolError("a frame's header is no JSON: %s" % error)
        if not isinstance(header, dict):
            raise ProtocolError("a frame's header is no JSON object")
        body = data[8 + head:end]
        rest = data[end:]
        self._chunks = [rest] if rest else []
        self._have = len(rest)
        self._need = None
        return header, body

    def _join(self):
        if len(self._chunks) > 1:
            self._chunks = [b"".join(self._chunks)]
