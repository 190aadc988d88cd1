"""`kib decompress`: a compressed file as a model that Keras loads without this package."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from keras_infobottleneck.arguments import check_file
from keras_infobottleneck.command_line.command import Command
from keras_infobottleneck.compression.decompressing import decompress

__all__ = ["DECOMPRESS"]


def _define_flags(values: flags.FlagValues) -> None:
    """Defines no flags."""


def _run(arguments: Sequence[str], values: flags.FlagValues) -> None:
    target = check_file("MODEL", arguments[1])
    if not str(target).endswith(".keras"):
        raise ValueError(
            f"`MODEL` must be the name of a .keras file. Received: MODEL={arguments[1]!r}"
        )
    network = decompress(arguments[0])
    network.save(target)
    print(f"{network.count_params():,} weights")
    print(f"wrote {arguments[1]}")


DECOMPRESS = Command(
    name="decompress",
    arguments=("FILE.kib", "MODEL.keras"),
    summary="Writes the network of a compressed file as a .keras file of plain Keras layers.",
    description="""
        The weights are the same bit by bit on every machine. A file that was damaged, or made to do
        harm, is refused.

        Example: kib decompress network.kib network.keras
    """,
    define_flags=_define_flags,
    run=_run,
    called={"path": "FILE"},
)
