"""Results that are saved completely in a NumPy archive."""

from __future__ import annotations

import abc
import dataclasses
import os
from typing import Any, Self

from keras_infobottleneck.results.archives import Archive, with_suffix, write_arrays
from keras_infobottleneck.results.result import Result

__all__ = ["ArchivedResult"]


class ArchivedResult(Result, abc.ABC):
    """Base of results whose fields are arrays, numbers and texts, saved as they are.

    A subclass defines in `_fields_in` what it expects of each field.
    """

    def to_npz(self, path: str | os.PathLike) -> None:
        """Writes all fields but those that are None to a NumPy archive, completely or not at all.

        Args:
            path: Path of the file, in an existing folder; `.npz` is added if it is missing.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        write_arrays(with_suffix(path), {k: v for k, v in fields.items() if v is not None})

    @classmethod
    def from_npz(cls, path: str | os.PathLike) -> Self:
        """Reads a file written by `to_npz`.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: The file was not written by `to_npz`, or is damaged.
        """
        archive = Archive(path, f"`path` must be a file written by `{cls.__name__}.to_npz`")
        result = cls(**cls._fields_in(archive))
        archive.close()
        return result

    @classmethod
    @abc.abstractmethod
    def _fields_in(cls, archive: Archive) -> dict[str, Any]:
        """Every field, read from the archive and checked."""
