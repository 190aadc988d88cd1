"""`kib certify`: a bound on the error of a saved model on new data."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from absl import flags

from keras_infobottleneck.arguments import check_file, check_probability
from keras_infobottleneck.certificates.unseen_examples import errors_on_unseen
from keras_infobottleneck.command_line.command import Command, value_of
from keras_infobottleneck.command_line.files_read import (
    define_data_flags,
    define_model_flags,
    read_data,
    read_model,
)
from keras_infobottleneck.command_line.progress import define_progress_flag, progress
from keras_infobottleneck.estimators import certify, test_set_bound
from keras_infobottleneck.models import InformationBottleneckModel
from keras_infobottleneck.results.files import write_text
from keras_infobottleneck.results.result import plain

__all__ = ["CERTIFY"]

OPTIONS = (
    "delta",
    "num_samples",
    "delta_monte_carlo",
    "examples_per_draw",
    "allow_repeats",
    "from_logits",
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
        "delta",
        0.025,
        "Probability with which the bound may fail, for the examples may be lucky ones. The bound "
        "holds with probability 1 - delta - delta_monte_carlo: 96.5 % by default, 95 % at "
        "--delta=0.04.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "delta_monte_carlo",
        0.01,
        "Probability with which the draws of the weights may mislead, in addition. It takes draws "
        "enough to be small: with --num_samples.",
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
    flags.DEFINE_bool(
        "from_logits",
        None,
        "Whether the network ends in logits; by default as the compiled loss says.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "unseen",
        False,
        "Vouch that the model, noise or not, never saw the data, nor was chosen by them: print the "
        "test-set bound of the model as it is, without noise.",
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
    if value_of(values, "unseen"):
        record = _bound_on_unseen(model, data, options)
    else:
        if not isinstance(model, InformationBottleneckModel):
            raise TypeError(
                "MODEL has no noise on its weights, and is certified on examples that it never saw "
                "only: give those as --data and say --unseen, or put noise on its weights by "
                f"make_variational. Received: MODEL={model.name!r}, a {type(model).__name__}"
            )
        with progress(values) as verbose:
            certificate = certify(model, data, verbose=verbose, **options)
        print(certificate)
        record = certificate.to_dict()
    if path is not None:
        write_text(
            path, json.dumps(plain(record, strict=True), indent=1, allow_nan=False), "--json"
        )
        print(f"wrote {path}")


def _bound_on_unseen(
    model: keras.Model, data: Any, options: Mapping[str, Any]
) -> dict[str, float | int]:
    """Prints the test-set bound, and returns its numbers."""
    delta = check_probability("--delta", options["delta"])
    how = {name: options[name] for name in ("from_logits", "allow_repeats")}
    errors, count = errors_on_unseen(model, data, **how)
    bound = test_set_bound(errors, count, delta)
    digits = max(1, math.ceil(-math.log10(delta)) - 1)  # enough to distinguish the value from one
    print(
        f"Test-set bound: error on new data at most {bound:.3%}, with probability "
        f"{1 - delta:.{digits}%} "
        f"(without noise: {errors:,} errors on {count:,} examples)\n"
        "  it holds if the model never saw these examples and was not chosen by them"
    )
    return {
        "test_set_bound": bound,
        "errors": errors,
        "num_examples": count,
        "delta": delta,
        "confidence": 1 - delta,
    }


CERTIFY = Command(
    name="certify",
    arguments=("MODEL.keras",),
    summary="Bounds the error that a saved model makes on new data.",
    description="""
        MODEL is an InformationBottleneckModel whose prior is fixed, by `anchor_prior` or by a
        prior_scale chosen without the data. The data may have trained the posterior, but not the
        prior. What would make the bound untrue is refused with the reason.

        The bound holds with probability 1 - delta - delta_monte_carlo, 96.5 % by default: 2.5 % are
        left for unlucky examples and 1 % for unlucky draws of the weights. --delta=0.04 asks for
        95 %, --delta=0.005 --delta_monte_carlo=0.005 for 99 %.

        Any other model, with or without noise, has a test-set bound on examples that it never saw:
        with --unseen, which vouches for that. There are no draws then, so that it holds with
        probability 1 - delta.

        Example: kib certify model.keras --data=rest.npz

        Example: kib certify plain.keras --data=never_seen.npz --unseen --delta=0.05
    """,
    define_flags=_define_flags,
    run=_run,
    needed=("data",),
    called={"model": "MODEL"},
)
