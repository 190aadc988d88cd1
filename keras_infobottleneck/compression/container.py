"""The container of the file's parts: magic, version, checksum, lengths.

```
offset  bytes  what
0       3      "KIB"
3       1      version, 1
4       4      CRC-32 of everything after it, little-endian
8       1-4    length A of the architecture, 7 bits per byte, lowest first; the last byte < 128
.       A      architecture
.       rest   weights, one stream of the range coder
```
"""

from __future__ import annotations

import os
import zlib

from keras_infobottleneck.arguments import check_path
from keras_infobottleneck.compression.refused import DamageError
from keras_infobottleneck.results.files import whole_file

__all__ = ["HEADER_BYTES", "read_parts", "write_parts"]

MAGIC, VERSION = b"KIB", 1
START = len(MAGIC) + 5
HEADER_BYTES = START + 1
MOST_LENGTH_BYTES = 4


def write_parts(path: str | os.PathLike, architecture: bytes, weights: bytes) -> int:
    """Writes the file atomically; returns its size in bytes."""
    body = _length(len(architecture)) + architecture + weights
    content = MAGIC + bytes([VERSION]) + zlib.crc32(body).to_bytes(4, "little") + body
    with whole_file(path) as stream:
        stream.write(content)
    return len(content)


def read_parts(path: str | os.PathLike) -> tuple[bytes, bytes]:
    """Architecture and weights of a file.

    Raises:
        TypeError: The path is not a path.
        OSError: The file cannot be opened.
        DamageError: The file is of another kind, or has been changed since it was written.
    """
    check_path("path", path)
    if os.path.isdir(path):
        raise DamageError("a folder")
    with open(path, "rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            raise DamageError("another kind of file")
        version = stream.read(1)
        if version != bytes([VERSION]):
            found = version[0] if version else "none"
            raise DamageError(f"version {found} where version {VERSION} is known")
        checksum, body = stream.read(4), stream.read()
    if len(checksum) < 4 or zlib.crc32(body) != int.from_bytes(checksum, "little"):
        raise DamageError("a file that was cut, continued or changed: its checksum is another")
    length, start = 0, 0
    while True:
        if start == min(len(body), MOST_LENGTH_BYTES):
            raise DamageError("no length of its architecture")
        length |= (body[start] & 127) << (7 * start)
        start += 1
        if body[start - 1] < 128:
            break
    if length > len(body) - start:
        raise DamageError("an architecture longer than the file")
    return body[start : start + length], body[start + length :]


def _length(number: int) -> bytes:
    """A number with seven bits per byte, lowest first."""
    found = bytearray()
    while number >= 128:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])
