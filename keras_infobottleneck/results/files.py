"""The one writer of files: a file is there whole, or as it was before.

What is written goes to a file of its own in the same folder, is brought to the disk, and takes the
old file's place in one step. So a reader never sees half of a file, several writers of one path do
not disturb each other, and a full disk or a kill loses nothing that was there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from typing import BinaryIO

from keras_infobottleneck.arguments import check_file

__all__ = ["whole_file", "write_text"]


@contextlib.contextmanager
def whole_file(path: str | os.PathLike, name: str = "path") -> Iterator[BinaryIO]:
    """A stream whose content takes the file's place when the block ends without an exception.

    A link stays, its target is replaced. The file keeps its mode.

    Args:
        path: of the file.
        name: of the argument, for the refusal.

    Raises:
        TypeError, ValueError: as of `check_file`.
        OSError: the file cannot be written: of the kind that the system gave.
    """
    target = check_file(name, path)
    # Opened for oneself alone: a link of this name is not followed, nobody else's file is used.
    partial = os.path.join(os.path.dirname(target), f".{secrets.token_hex(8)}.partial")
    try:
        mode = _mode_of(target)
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        descriptor = os.open(partial, flags, 0o666)
        try:
            with open(descriptor, "wb") as stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            if mode is not None:
                os.chmod(partial, mode)
            os.replace(partial, target)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(partial)
            raise
    except OSError as error:
        raise OSError(
            error.errno,
            f"`{name}` must be a file that can be written; what was there is as it was. "
            f"Received: {name}={os.fspath(path)!r} ({error.strerror or error})",
        ) from error


def write_text(path: str | os.PathLike, text: str, name: str = "path") -> None:
    """The text as a file in UTF-8, see `whole_file`."""
    with whole_file(path, name) as stream:
        stream.write(text.encode())


def _mode_of(target: str) -> int | None:
    """Permissions of the file that is there, None where none is."""
    try:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        return None
    if not os.access(target, os.W_OK):  # its folder would let it be replaced
        raise PermissionError(errno.EACCES, "the file is protected from writing")
    return mode
