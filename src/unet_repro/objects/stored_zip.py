"""A ZIP file of many small, uncompressed files; ``zipfile`` takes ten times as long."""

import struct
import zlib
from typing import BinaryIO

_DATE = (1 << 5) | 1  # 1980-01-01: the same content gives the same bytes
_LARGE = 0xFFFFFFFF
_MANY = 0xFFFF


class StoredZip:
    """A ZIP file that is written file by file.

    Args:
        file: An opened binary file, at its beginning.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._directory, self._entries, self._offset = file, bytearray(), 0, 0

    def add(self, name: str, content: bytes) -> None:
        """Writes a file of less than 4 GB with an ASCII name."""
        raw, size = name.encode("ascii"), len(content)
        common = struct.pack("<HHHHIII", 0, 0, 0, _DATE, zlib.crc32(content), size, size)
        self._file.write(b"PK\3\4\x14\0" + common + struct.pack("<HH", len(raw), 0) + raw + content)
        far = self._offset >= _LARGE  # then the place is in an extra field, as in ZIP64
        extra = struct.pack("<HHQ", 1, 8, self._offset) if far else b""
        place = struct.pack("<HHHHHII", len(raw), len(extra), 0, 0, 0, 0, _LARGE if far else self._offset)
        self._directory += b"PK\1\2\x2d\0\x2d\0" + common + place + raw + extra
        self._entries += 1
        self._offset += 30 + len(raw) + size

    def finish(self) -> None:
        """Writes the directory."""
        self._file.write(self._directory)
        size, end = len(self._directory), self._offset + len(self._directory)
        if self._entries >= _MANY or end >= _LARGE:
            counts = (self._entries, self._entries, size, self._offset)
            self._file.write(b"PK\6\6" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, *counts))
            self._file.write(b"PK\6\7" + struct.pack("<IQI", 0, end, 1))
        entries = min(self._entries, _MANY)
        place = (min(size, _LARGE), min(self._offset, _LARGE))
        self._file.write(b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, entries, entries, *place, 0))
