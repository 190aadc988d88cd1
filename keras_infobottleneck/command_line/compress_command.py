"""`kib compress`: a saved model as a file of about the size of the information in its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import flags

from keras_infobottleneck.command_line.command import Command, value_of
from keras_infobottleneck.command_line.files_read import (
    define_data_flags,
    define_model_flags,
    read_data,
    read_model,
)
from keras_infobottleneck.command_line.progress import define_progress_flag, progress
from keras_infobottleneck.compression.compressing import compress

__all__ = ["COMPRESS"]

OPTIONS = ("bits_per_block", "beam", "rate", "step", "seed")


def _define_flags(values: flags.FlagValues) -> None:
    define_data_flags(values)
    define_model_flags(values)
    define_progress_flag(values)
    flags.DEFINE_integer("bits_per_block", 4, "Bits of each choice, 1 to 20.", flag_values=values)
    flags.DEFINE_integer("beam", 2048, "Number of paths that the search keeps.", flag_values=values)
    flags.DEFINE_float(
        "rate", 1.05, "Bits of the choices per bit of information.", flag_values=values
    )
    flags.DEFINE_float(
        "step",
        0.0625,
        "Step of quantisation for weights without a posterior, as a share of their root mean "
        "square.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", None, "Seed of the candidates; a fresh one by default.", flag_values=values
    )
    flags.DEFINE_integer(
        "epochs",
        1,
        "Epochs between two stages of coding, where there are data.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "batch_size", 32, "Examples in a batch of these epochs.", flag_values=values
    )


def _run(arguments: Sequence[str], values: flags.FlagValues) -> None:
    model = read_model(arguments[0], values)
    options: dict[str, Any] = {name: value_of(values, name) for name in OPTIONS}
    if value_of(values, "data") is not None:
        options |= {"data": read_data(values), "finetune": value_of(values, "epochs")}
        options["batch_size"] = value_of(values, "batch_size")
    with progress(values) as verbose:
        file = compress(model, arguments[1], verbose=verbose, **options)
    print(
        f"{file.bytes:,} bytes for {file.nats:,.0f} nats in {file.num_weights:,} weights, "
        f"{file.parts['architecture']:,.0f} of them for the architecture"
    )
    if file.statement:
        print(file.statement)
    print(f"wrote {arguments[1]}")


COMPRESS = Command(
    name="compress",
    arguments=("MODEL.keras", "FILE.kib"),
    summary="Writes a saved model to a file whose size is the information in its weights.",
    description="""
        Weights with a Gaussian posterior take their divergence from the prior, in bits; other
        weights are quantised. The file holds everything that predictions need. With --data, the
        weights that are not coded yet are trained between the stages of coding, an interrupted call
        goes on where it was, and the last line bounds the error on new data by the file's length.

        Example: kib compress model.keras network.kib --data=train.npz
    """,
    define_flags=_define_flags,
    run=_run,
    called={"model": "MODEL", "path": "FILE", "finetune": "--epochs"},
)
