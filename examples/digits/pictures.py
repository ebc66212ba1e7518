"""Greyscale PNG pictures in plain Python."""

import struct
import zlib


def png(rows):
    """The PNG of rows of grey values (0 black .. 255 white), all of one length."""
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) & 0xFFFFFFFF)

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    lines = b"".join(b"\0" + bytes(bytearray(row)) for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")


def sheet(digits, columns=10, scale=6, gap=4):
    """A PNG with many 8x8 digits (64 values of 0..16, dark on white) side by side."""
    side = 8 * scale + gap
    lines = (len(digits) + columns - 1) // columns
    rows = [[255] * (columns * side + gap) for _ in range(max(1, lines) * side + gap)]
    for number, digit in enumerate(digits):
        top, left = gap + number // columns * side, gap + number % columns * side
        for y in range(8 * scale):
            for x in range(8 * scale):
                rows[top + y][left + x] = 255 - int(digit[y // scale * 8 + x // scale] * 255 / 16)
    return png(rows)
