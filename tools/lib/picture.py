"""A picture of a machine's screen: QEMU's format (PPM, 8 bits, P6) to PNG, and colours for tests."""

import re
import struct
import zlib
from pathlib import Path


class Picture:
    def __init__(self, width, height, pixels):
        self.width, self.height, self.pixels = width, height, pixels

    @classmethod
    def read(cls, file):
        data = Path(file).read_bytes()
        header = re.match(rb"P6\s+(\d+)\s+(\d+)\s+255\s", data)
        if not header:
            raise ValueError(f"{file} is not QEMU's picture of a screen")
        width, height = int(header[1]), int(header[2])
        pixels = data[header.end():]
        if len(pixels) != 3 * width * height:
            raise ValueError(f"{file} is not whole")
        return cls(width, height, pixels)

    def lit(self):
        """How many points are not black."""
        return sum(self.pixels[at:at + 3] != b"\0\0\0" for at in range(0, len(self.pixels), 3))

    def write_png(self, file):
        """RFC 2083: one filter byte a line, then the line."""
        stride = 3 * self.width
        lines = b"".join(b"\0" + self.pixels[at:at + stride] for at in range(0, len(self.pixels), stride))
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        Path(file).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9))
                               + chunk(b"IEND", b""))


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
