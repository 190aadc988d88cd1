"""`compress`: a network as a file of about the size of its information."""

from __future__ import annotations

import dataclasses
import functools
import math
import os
import secrets
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from keras_infobottleneck.arguments import (
    check_count,
    check_file,
    check_instance,
    check_model,
    check_number,
    check_probability,
    check_seed,
    check_verbose,
    refusal,
)
from keras_infobottleneck.compression import tensor_codes
from keras_infobottleneck.compression.architecture import packed
from keras_infobottleneck.compression.coding_stages import DrawnPart, code_stages
from keras_infobottleneck.compression.compressed_file import CompressedFile
from keras_infobottleneck.compression.container import write_parts
from keras_infobottleneck.compression.decompressing import decompress
from keras_infobottleneck.compression.drawn_weights import MOST_BITS_PER_BLOCK, Choices
from keras_infobottleneck.compression.planning import planned
from keras_infobottleneck.compression.posteriors_of_networks import KeptWeight, kept_weights
from keras_infobottleneck.compression.progress import Progress
from keras_infobottleneck.compression.range_coder import Writer
from keras_infobottleneck.compression.refused import DamageError
from keras_infobottleneck.compression.told_by_file import bound_of_file, fitting, has_logits
from keras_infobottleneck.compression.tuning import Tuner
from keras_infobottleneck.compression.weight_stream import (
    CodedWeight,
    write_choices,
    write_weights,
)
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.models.bottleneck import InformationBottleneckModel

__all__ = ["compress"]

# Number of stages if `finetune` is given and `num_stages` is not.
STAGES = 12
# Drawn seeds are small, because they are stored in the file.
DRAWN_SEEDS = 256


@on_replicas
def compress(
    model: keras.Model,
    path: str | os.PathLike,
    *,
    bits_per_block: int = 4,
    beam: int = 2048,
    rate: float = 1.05,
    finetune: Callable[[InformationBottleneckModel], Any] | int | None = None,
    data: Any = None,
    batch_size: int = 32,
    delta: float = 0.05,
    num_stages: int | None = None,
    step: float = 0.0625,
    seed: int | None = None,
    verbose: int = 1,
) -> CompressedFile:
    """Writes a network to a file of about the size of the information in its weights.

    Weights with a Gaussian posterior are coded by relative entropy coding:

    - Writer and reader draw the same candidates from the prior ``N(0, s^2)``. The file stores which
      of them were chosen, in ``rate KL(q || p) / log 2`` bits and two bytes in total.
    - The scale s is that of least divergence for a tensor, or for each output unit if that is
      shorter, on a grid.
    - The chosen network is about as likely under the posterior as a draw from it.

    A tensor is quantised instead if its quantised means are shorter and at least as likely, and so
    is one without a Gaussian posterior. The file holds the architecture, scales, biases and
    statistics of normalisation, but not the compilation of the model.

    A wider `beam` and more `bits_per_block` give a likelier network for the same bytes; the time
    of the search grows like ``beam * 2 ** bits_per_block / bits_per_block``.

    Args:
        model: An `InformationBottleneckModel`, or a sequential or functional model with or without
            `VariationalWeights`. It is not changed.
        path: Path of the file, by convention ``.kib``.
        bits_per_block: Number of bits of each choice, 1 to 20.
        beam: Number of paths that the search keeps; with 1 every block is chosen separately.
        rate: Bits of the choices per bit of information. Below 1 the file is shorter than its
            information and the network less likely than a draw.
        finetune: Function that is called with a copy of the model (compiled in the same way)
            between two stages of coding, to train the weights that are not coded yet, such as
            ``lambda network: network.fit(x, y, verbose=0)``; or a number of epochs of training on
            `data`. Useful if draws from the posterior are worse than its mean.
        data: Labelled examples, such as those of the training set: ``(x, y)`` arrays, a
            `tf.data.Dataset` or a `keras.utils.PyDataset`. With them the result has the number of
            errors of the file's network, and the `occam_bound` on its error on new data: no
            examples have to be held out.
        batch_size: Batch size if `finetune` is a number and `data` are arrays.
        delta: Probability with which that bound may fail.
        num_stages: Number of stages with `finetune`; by default 12. Progress is saved next to the
            file, and the same call resumes after an interruption.
        step: For weights without a posterior, the step of quantisation as a share of their root
            mean square. Biases and other vectors are stored as floats of 8 significant bits.
        seed: Seed of the candidates; it is stored in the file, and small ones are shorter.
        verbose: 1 prints a line for each stage.

    Returns:
        A `CompressedFile`: bytes, nats, and the size of each part.

    Raises:
        TypeError: An argument has another type, or the model is subclassed.
        ValueError: A number is out of range, the model is not built, a layer cannot be stored in a
            file (`keras.layers.Lambda`, lookups of text), `finetune` is given for a model that is
            not a compiled `InformationBottleneckModel`, or it is a number and there are no `data`.

    References:
        Havasi, Peharz & Hernandez-Lobato (2019), "Minimal Random Code Learning", arXiv 1810.00440.
        Flamich, Havasi & Hernandez-Lobato (2020), arXiv 2010.01185.

    Example:
        ```python
        import keras
        import keras_infobottleneck as kib

        network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
        noisy = kib.make_variational(network, num_examples=100, verbose=0)
        file = kib.compress(noisy, "network.kib", seed=0, verbose=0)
        print(file.bytes > file.nats / 8 / 0.693)  # a file is larger than its information
        ```

        ```text
        True
        ```
    """
    check_model("model", model)
    target = check_file("path", path)
    check_count("bits_per_block", bits_per_block, most=MOST_BITS_PER_BLOCK)
    check_count("beam", beam, most=1 << 20)
    check_number("rate", rate, 0.0, 16.0, open_below=True)
    is_count = isinstance(finetune, int) and not isinstance(finetune, bool)
    epochs: Any = finetune if is_count else None
    tune: Any = finetune
    check_count("finetune", epochs, optional=True)
    if epochs is None:
        expected = "a function of a model, or a number of epochs"
        check_instance("finetune", finetune, Callable, expected, optional=True)
    check_count("batch_size", batch_size)
    check_probability("delta", delta)
    check_count("num_stages", num_stages, most=4096, optional=True)
    check_number("step", step, 0.0, 16.0, open_below=True)
    check_seed("seed", seed)
    check_verbose("verbose", verbose)
    if epochs is not None and data is None:
        raise ValueError(
            "`finetune` must be a function of a model if there are no `data` for epochs. "
            f"Received: finetune={finetune}, data=None"
        )
    if finetune is not None:
        is_trained = isinstance(model, InformationBottleneckModel) and model.compiled
        if not is_trained:
            raise refusal(
                ValueError, "model", "be a compiled InformationBottleneckModel to be tuned", model
            )
    if data is not None:
        batches = batches_for(model, data)
        from_logits = has_logits(model, batches)
        if epochs is not None:
            tune = fitting(data, batches, epochs, batch_size)
    plain, kept = kept_weights(model)
    try:
        architecture = packed(plain)
    except DamageError as error:
        raise ValueError(
            f"`model` must consist of layers that can be stored in a file. Received: {error}"
        ) from None
    plans = [planned(weight, step) for weight in kept]
    coded = [plan for plan, _ in plans]
    stages = 1 if finetune is None else num_stages or STAGES
    choices = Choices(
        secrets.randbelow(DRAWN_SEEDS) if seed is None else seed, bits_per_block, stages
    )

    nats = sum(nats for plan, nats in plans if plan.mode != tensor_codes.DRAWN)
    part = _drawn_part(kept, coded)
    tuner: Any = None
    progress: Progress | None = None
    if finetune is not None and part is not None:
        tuner = Tuner(model, coded, tune)
        options = [-1 if seed is None else seed, bits_per_block, beam, rate, stages, step]
        progress = Progress(target, model, options)
        if progress.restore(choices, tuner.model):
            part = dataclasses.replace(part, **tuner.resume(part, choices))
    if part is not None:
        nats += code_stages(
            part,
            choices,
            rate=rate,
            beam=beam,
            tuner=tuner,
            say=print if verbose else lambda text: None,
            keep=None if progress is None else functools.partial(progress.keep, model=tuner.model),
        )
    file = _written(path, architecture, kept, coded, choices, nats)
    if progress is not None:
        progress.forget()
    if data is None:
        return file
    found = bound_of_file(decompress(path), data, file.bytes, delta, from_logits)
    file = dataclasses.replace(file, **found, delta=delta)
    if verbose:
        print(file.statement)
    return file


def _drawn_part(kept: list[KeptWeight], coded: list[CodedWeight]) -> DrawnPart | None:
    """All drawn weights, concatenated; None if there are none."""
    columns = [
        (
            *c.groups.spread(c.shape),
            np.ravel(k.mean).astype(np.float64),
            np.ravel(np.asarray(k.scale)).astype(np.float64),
        )
        for k, c in zip(kept, coded, strict=True)
        if c.groups is not None
    ]
    if not columns:
        return None
    return DrawnPart(*(np.concatenate(column) for column in zip(*columns, strict=True)))


def _written(
    path: str | os.PathLike,
    architecture: bytes,
    kept: list[KeptWeight],
    coded: list[CodedWeight],
    choices: Choices,
    nats: float,
) -> CompressedFile:
    """Writes the file, and returns its description."""
    writer = Writer()
    sizes = [bits / 8.0 for bits in write_weights(writer, coded)]
    of_weights = dict(zip((weight.name for weight in kept), sizes, strict=True))
    num_drawn = sum(weight.mean.size for weight, c in zip(kept, coded, strict=True) if c.groups)
    blocks = write_choices(writer, choices) / 8.0 if num_drawn else 0.0
    size = write_parts(path, architecture, writer.finish())
    header = size - len(architecture) - blocks - sum(sizes)
    return CompressedFile(
        bytes=size,
        nats=nats,
        overhead=8.0 * size * math.log(2.0) / nats - 1.0 if nats else math.inf,
        parts={
            "header": header,
            "architecture": float(len(architecture)),
            **of_weights,
            "blocks": blocks,
        },
        num_weights=sum(weight.mean.size for weight in kept),
        num_drawn=num_drawn,
        num_blocks=sum(map(len, choices.paths)),
        bits_per_block=choices.bits_per_block,
        seed=choices.seed,
        path=os.fspath(path),
    )
