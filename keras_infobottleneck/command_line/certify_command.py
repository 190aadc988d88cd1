"""`kib certify`: a bound on the error of a saved model on new data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from absl import flags

from keras_infobottleneck.arguments import check_file
from keras_infobottleneck.command_line.command import Command, value_of
from keras_infobottleneck.command_line.files_read import (
    define_data_flags,
    define_model_flags,
    read_data,
    read_model,
)
from keras_infobottleneck.command_line.progress import define_progress_flag, progress
from keras_infobottleneck.estimators import certify
from keras_infobottleneck.results.files import write_text
from keras_infobottleneck.results.result import plain

__all__ = ["CERTIFY"]

OPTIONS = (
    "delta",
    "num_samples",
    "delta_monte_carlo",
    "examples_per_draw",
    "allow_repeats",
    "seed",
)


def _define_flags(values: flags.FlagValues) -> None:
    define_data_flags(values)
    define_model_flags(values)
    define_progress_flag(values)
    flags.DEFINE_string(
        "json", None, "Write the certificate to this file, as JSON.", flag_values=values
    )
    flags.DEFINE_float(
        "delta", 0.025, "Probability with which the bound may fail.", flag_values=values
    )
    flags.DEFINE_float(
        "delta_monte_carlo",
        0.01,
        "Probability with which the draws of the weights may mislead, in addition.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "num_samples",
        None,
        "Draws for every example; by default 100 where they are cheap, 10 where weights are drawn.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "examples_per_draw", 1, "Examples that share drawn weights.", flag_values=values
    )
    flags.DEFINE_bool(
        "allow_repeats",
        False,
        "Whether equal examples are independent draws that happen to agree.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "seed", None, "Seed of the draws; a fresh one by default.", flag_values=values
    )


def _run(arguments: Sequence[str], values: flags.FlagValues) -> None:
    path = value_of(values, "json")
    check_file("--json", path, optional=True)
    model, data = read_model(arguments[0], values), read_data(values)
    options: dict[str, Any] = {name: value_of(values, name) for name in OPTIONS}
    with progress(values) as verbose:
        certificate = certify(model, data, verbose=verbose, **options)
    print(certificate)
    if path is not None:
        record = plain(certificate.to_dict(), strict=True)
        write_text(path, json.dumps(record, indent=1, allow_nan=False), "--json")
        print(f"wrote {path}")


CERTIFY = Command(
    name="certify",
    arguments=("MODEL.keras",),
    summary="Bounds the error that a saved model makes on new data.",
    description="""
        MODEL is an InformationBottleneckModel whose prior is fixed, by `anchor_prior` or by a
        prior_scale chosen without the data. The data may have trained the posterior, but not the
        prior. What would make the bound untrue is refused with the reason.

        Example: kib certify model.keras --data=rest.npz --delta=0.025
    """,
    define_flags=_define_flags,
    run=_run,
    needed=("data",),
)
