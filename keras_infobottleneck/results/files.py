"""The only writer of files: a file is written completely, or left as it was.

The content goes to a new file in the same folder, is flushed to the disk, and replaces the old file
in one step. So a reader never sees half of a file, several writers of one path do not disturb each
other, and a full disk or a kill does not damage the old file.
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
    """A stream whose content replaces the file when the block ends without an exception.

    If the path is a link, its target is replaced. The file keeps its permissions.

    Args:
        path: Path of the file.
        name: Name of the argument, for the message.

    Raises:
        TypeError, ValueError: As in `check_file`.
        OSError: The file cannot be written; of the type that the system raised.
    """
    target = check_file(name, path)
    # O_EXCL: a link of this name is not followed, and a file of another process is not used.
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
    """Writes the text as a file in UTF-8; see `whole_file`."""
    with whole_file(path, name) as stream:
        stream.write(text.encode())


def _mode_of(target: str) -> int | None:
    """Permissions of the existing file, or None if there is none."""
    try:
        mode = stat.S_IMODE(os.stat(target).st_mode)
    except FileNotFoundError:
        return None
    if not os.access(target, os.W_OK):  # renaming needs permission for the folder only
        raise PermissionError(errno.EACCES, "the file is protected from writing")
    return mode
