"""Arrays in `.npz` files: written completely, and read with every field checked before use.

A file that is damaged, or was made by another program, is refused by one sentence that names it.
Sizes announced in the file are compared with the size of the file before memory is allocated.
"""

from __future__ import annotations

import os
import zipfile
from collections.abc import Collection, Mapping
from typing import IO, Any, NoReturn

import numpy as np

from keras_infobottleneck.arguments import check_path
from keras_infobottleneck.results.files import whole_file

__all__ = ["Archive", "with_suffix", "write_arrays"]

# Largest asymmetry accepted of a symmetric matrix, relative to its largest entry: float32 sums
# round.
ASYMMETRY = 1e-3
ROWS_AT_ONCE = 256


def with_suffix(path: str | os.PathLike) -> str | os.PathLike:
    """The path with the ending `.npz`; an empty path or no path is returned for a later check."""
    is_path = isinstance(path, str | os.PathLike) and os.fspath(path)
    return f"{os.fspath(path).removesuffix('.npz')}.npz" if is_path else path


def write_arrays(path: str | os.PathLike, arrays: Mapping[str, Any], name: str = "path") -> None:
    """Writes arrays, numbers and texts by name, without pickled objects; see `whole_file`."""
    with whole_file(path, name) as stream:
        np.savez(stream, allow_pickle=False, **arrays)


class Archive:
    """The arrays of a file, taken one by one and checked as they are taken.

    Args:
        path: Path of the file.
        rule: What the file must be, for the message: "`path` must be a file written by ...".
        name: Name of the argument, for the message.
        names: Names of the arrays to read. By default all are read, and `close` refuses a file
            with arrays that were not taken.
        max_bytes: Largest size of decompressed arrays; None refuses compressed arrays.

    Raises:
        TypeError: `path` is not a path.
        OSError: The file cannot be opened, for example `FileNotFoundError`.
        ValueError: The file is not such an archive, or is damaged.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        rule: str,
        name: str = "path",
        *,
        names: Collection[str] | None = None,
        max_bytes: int | None = None,
    ):
        check_path(name, path)
        self._rule, self._received = rule, f"{name}={os.fspath(path)!r}"
        if os.path.isdir(path):
            self.refuse("a folder")
        with open(path, "rb") as stream:
            try:
                self._arrays = _read(stream, names, max_bytes)
            except _OddError as error:
                self.refuse(str(error))
            # NumPy, zlib and zipfile raise many types of exceptions on bytes that they cannot read.
            except Exception as error:
                self.refuse(f"no complete archive ({type(error).__name__})")

    def refuse(self, reason: str) -> NoReturn:
        """Refuses the file with a reason.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"{self._rule}. Received: {self._received}, {reason}") from None

    def __contains__(self, name: str) -> bool:
        return name in self._arrays

    def take(self, name: str) -> np.ndarray:
        """Removes an array from the archive and returns it unchecked."""
        if name not in self._arrays:
            self.refuse(f"without {name}")
        return self._arrays.pop(name)

    def array(
        self,
        name: str,
        shape: tuple[int | None, ...],
        *,
        kinds: str = "f",
        least: float = -np.inf,
        may_be_unknown: bool = False,
    ) -> np.ndarray:
        """Takes an array of finite numbers of at least `least`.

        Args:
            name: Name of the array.
            shape: Shape of the array; None for an axis of any length but 0.
            kinds: NumPy's letters for the allowed kinds of numbers.
            least: Smallest value allowed.
            may_be_unknown: Whether NaN is allowed, for numbers that are unknown.
        """
        array = self.take(name)
        fits = array.ndim == len(shape) and all(
            found > 0 if asked is None else found == asked
            for found, asked in zip(array.shape, shape, strict=True)
        )
        if not fits:
            words = ["any" if n is None else str(n) for n in shape]
            self.refuse(f"with {name} of shape {list(array.shape)}, not [{', '.join(words)}]")
        # No result of the package has half or extended precision.
        if array.dtype.kind not in kinds or (kinds == "f" and array.dtype.itemsize not in (4, 8)):
            self.refuse(f"with {name} of dtype {array.dtype}")
        known = array[~np.isnan(array)] if may_be_unknown else array
        if not np.all(np.isfinite(known)):
            self.refuse(f"with {name} that is not finite")
        if known.size and known.min() < least:
            self.refuse(f"with {name} below {least:g}")
        return array

    def second_moments(self, name: str, shape: tuple[int | None, ...]) -> np.ndarray:
        """Takes symmetric matrices `[..., n, n]` without negative entries on the diagonal."""
        array = self.array(name, shape)
        if array.shape[-1] != array.shape[-2]:
            self.refuse(f"with {name} of shape {list(array.shape)}")
        diagonal = np.diagonal(array, axis1=-2, axis2=-1)
        tolerance = ASYMMETRY * diagonal.max()
        for start in range(0, array.shape[-1], ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            difference = array[..., part, :] - np.swapaxes(array[..., part], -1, -2)
            if diagonal.min() < 0 or np.abs(difference).max() > tolerance:
                self.refuse(f"with {name} that are no second moments")
        return array

    def count(self, name: str, least: int = 1) -> int:
        """Takes an integer of at least `least`."""
        return int(self.array(name, (), kinds="iu", least=least))

    def seed(self, name: str) -> int | None:
        """Takes a seed; None if there is none, as in files of earlier versions."""
        return self.count(name, 0) if name in self else None

    def error(self, name: str) -> float:
        """Takes a standard error: a number of at least 0, or NaN if unknown."""
        value = self.take(name)
        if value.shape or value.dtype.kind not in "fiu" or value < 0 or np.isinf(value):
            self.refuse(f"with a {name} that is none")
        return float(value)

    def text(self, name: str, choices: Collection[str] | None = None) -> str:
        """Takes a text, one of `choices` if they are given."""
        value = self.take(name)
        if value.shape or value.dtype.kind != "U" or str(value) not in (choices or (str(value),)):
            self.refuse(f"with another {name}")
        return str(value)

    def texts(self, name: str) -> tuple[str, ...]:
        """Takes a list of texts, at least one."""
        values = self.take(name)
        if values.ndim != 1 or values.dtype.kind != "U" or not len(values):
            self.refuse(f"with {name} that are no texts")
        return tuple(map(str, values))

    def close(self) -> None:
        """Refuses the file if arrays are left that were not taken."""
        if self._arrays:
            self.refuse(f"with {', '.join(sorted(self._arrays)[:4])} besides")


class _OddError(Exception):
    """The reason why an archive is refused."""


def _read(
    stream: IO[bytes], wanted: Collection[str] | None, max_bytes: int | None
) -> dict[str, np.ndarray]:
    """Arrays by name; raises an exception if the file is not as expected."""
    size = os.fstat(stream.fileno()).st_size
    arrays: dict[str, np.ndarray] = {}
    with zipfile.ZipFile(stream) as archive:
        members = archive.infolist()
        if wanted is not None:
            members = [m for m in members if m.filename.removesuffix(".npy") in wanted]
        if sum(member.compress_size for member in members) > size:
            raise _OddError("shorter than it says")
        if max_bytes is None and any(m.compress_type != zipfile.ZIP_STORED for m in members):
            raise _OddError("compressed")
        if max_bytes is not None and sum(member.file_size for member in members) > max_bytes:
            raise _OddError(f"with more than {max_bytes:,} bytes of arrays")
        if any(member.flag_bits & 1 for member in members):
            raise _OddError("encrypted")
        for member in members:
            name = member.filename.removesuffix(".npy")
            if name in arrays:
                raise _OddError(f"with {name} twice")
            with archive.open(member) as content:
                arrays[name] = _read_array(name, content, member.file_size)
    return arrays


def _read_array(name: str, content: IO[bytes], size: int) -> np.ndarray:
    """Reads one array, after checking that its header announces the right number of bytes."""
    version = np.lib.format.read_magic(content)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        raise _OddError(f"with {name} in version {version} of NumPy's format")
    shape, _, dtype = readers[version](content)
    if dtype.hasobject:
        raise _OddError(f"with pickled objects in {name}")
    count = 1
    for length in shape:  # Python's integers do not overflow
        count *= length
    if min(shape, default=0) < 0 or content.tell() + count * dtype.itemsize != size:
        raise _OddError(f"with {name} of another size than its header says")
    content.seek(0)
    array = np.lib.format.read_array(content, allow_pickle=False)
    content.read()  # to the end, where zipfile compares the checksum
    return array
