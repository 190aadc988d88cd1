"""Results that are kept whole in a NumPy archive."""

from __future__ import annotations

import abc
import dataclasses
import os
from typing import Any, Self

from keras_infobottleneck.results.archives import Archive, with_suffix, write_arrays
from keras_infobottleneck.results.result import Result

__all__ = ["ArchivedResult"]


class ArchivedResult(Result, abc.ABC):
    """Base of results whose fields are arrays, numbers and texts, and go to a file as they are.

    A subclass says in `_fields_in` what it expects of each field.
    """

    def to_npz(self, path: str | os.PathLike) -> None:
        """Writes everything to a NumPy archive, as a whole or not at all.

        Args:
            path: of the file, in a folder that exists; `.npz` is added where it is missing.
        """
        fields = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        write_arrays(with_suffix(path), fields)

    @classmethod
    def from_npz(cls, path: str | os.PathLike) -> Self:
        """Reads what `to_npz` wrote.

        Raises:
            FileNotFoundError: no file.
            ValueError: a file that `to_npz` did not write, or that was damaged since.
        """
        archive = Archive(path, f"`path` must be a file written by `{cls.__name__}.to_npz`")
        result = cls(**cls._fields_in(archive))
        archive.close()
        return result

    @classmethod
    @abc.abstractmethod
    def _fields_in(cls, archive: Archive) -> dict[str, Any]:
        """Every field, read from the archive and checked."""
