"""The prequential code: each block of labels is coded by a network trained on earlier blocks."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import (
    check_count,
    check_file,
    check_flag,
    check_instance,
    check_verbose,
    described,
    refusal,
)
from keras_infobottleneck.certificates.class_labels import class_labels
from keras_infobottleneck.certificates.conditions import ends_in_logits
from keras_infobottleneck.certificates.trials import class_scores
from keras_infobottleneck.data.batches import Batches
from keras_infobottleneck.data.elements import text_as_tensors
from keras_infobottleneck.estimators.coding.switch_code import (
    BlockCode,
    PrequentialCode,
    block_ends,
    code_of_block,
    digest,
    joined_code,
)
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.results.archives import Archive, write_arrays

__all__ = ["prequential_code"]

PREDICTED_AT_ONCE = 512  # number of examples
RULE = "`path` must be a file that `prequential_code` wrote for the same data and settings"


@on_replicas
def prequential_code(
    build: Callable[..., keras.Model],
    data: Any,
    *,
    blocks: int | Sequence[int] | np.ndarray = 10,
    epochs: int = 10,
    min_updates: int = 0,
    batch_size: int = 32,
    warm_start: bool = False,
    shuffle: bool = True,
    from_logits: bool | None = None,
    path: str | os.PathLike | None = None,
    seed: int = 0,
    verbose: int = 0,
) -> PrequentialCode:
    """Length in nats of labels coded in blocks, each by a network trained on earlier blocks.

    For blocks that end at t_1 < ... < t_S = N, with i from ``t_s + 1`` to ``t_(s+1)``:

        L = t_1 log C + sum_s [min_e sum_i -log p(y_i | x_i, w_e(1..t_s)) + log E]

    - The first block is transmitted without a model.
    - For every following block a network is trained on all labels transmitted so far. The receiver
      trains it too, so that no weights are transmitted.
    - The number of the epoch (out of E) that codes the block best is transmitted, for ``log E``
      nats. This switch stops training in time.
    - It is a real code, exact for these data, this order and this seed. Its standard error is the
      spread over other samples of labels.
    - For random labels it is at least `N log C`, up to chance.

    Cost: training on every prefix, about twice the training on all labels if blocks double, and a
    prediction of the next block after each epoch. The seeds of Python, NumPy and Keras are set
    before every block, so that an interrupted code can be continued.

    Args:
        build: Makes a compiled `keras.Model` whose output is a row of class scores, or a single
            output for two classes; called for every block. If it requires an argument, this is the
            number of updates of the block's training, for a schedule of the learning rate.
        data: ``(x, y)`` arrays, a `tf.data.Dataset` or a `keras.utils.PyDataset` that fit into
            memory; classes or one-hot rows.
        blocks: Ends of the blocks, increasing, the last one N; or the number of blocks, each of
            which ends at twice the number of examples of the one before.
        epochs: E, the number of epochs of each network.
        min_updates: Smallest number of updates in an epoch, which repeats the labels as often as
            needed: the networks of the first blocks see few examples, and learn slowly.
        batch_size: Number of examples in a training batch.
        warm_start: Whether a network starts from the weights of the one before, at the end of its
            training, instead of new ones. The optimizer is reset.
        shuffle: Whether the labels are coded in a random order that the seed determines. Sorted
            data are coded badly in their own order.
        from_logits: Whether networks end in logits; by default as in the compiled loss.
        path: Path of an ``.npz`` file that is written after each block. If it exists, the code
            continues from there.
        seed: Seed of order, weights and training; for block s it is ``seed + s``.
        verbose: 1 prints a line for each block.

    Returns:
        A `PrequentialCode`.

    Raises:
        TypeError: `build`, its models or the data are of another kind.
        ValueError: A model is not compiled, labels are not classes, blocks do not match the data,
            or the file is of another code.

    References:
        Dawid (1984), "Statistical theory: the prequential approach". Blier & Ollivier (2018), "The
        description length of deep learning models", arXiv 1802.07044, sections 3.4 and B.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        x = np.random.default_rng(0).normal(size=(200, 3)).astype("float32")
        y = (x[:, 0] > 0).astype(int)

        def build():
            model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
            loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            model.compile(keras.optimizers.Adam(0.2), loss)
            return model

        code = kib.estimators.prequential_code(build, (x, y), blocks=[20, 200], epochs=3)
        print(f"{code.kbit:.1f} kbit, without a network {code.uniform_kbit:.1f}")
        ```

        ```text
        0.1 kbit, without a network 0.2
        ```
    """
    check_instance("build", build, Callable, "a function that makes a compiled model")
    check_count("epochs", epochs)
    min_updates = check_count("min_updates", min_updates, 0)
    check_count("batch_size", batch_size)
    check_flag("warm_start", warm_start)
    check_flag("shuffle", shuffle)
    check_flag("from_logits", from_logits, optional=True)
    path = check_file("path", path, optional=True)
    seed = check_count("seed", seed, 0, 2**31)
    check_verbose("verbose", verbose)
    x, y = _arrays(data)
    ends = block_ends(blocks, len(y))
    if shuffle:
        order = np.random.default_rng(seed).permutation(len(y))
        x, y = tf.nest.map_structure(lambda a: a[order], (x, y))
    settings = (epochs, batch_size, warm_start, shuffle, seed)
    if min_updates:  # omitted if 0, as in files from before this argument existed
        settings += (min_updates,)
    key = digest(*tf.nest.flatten(x), y, ends, settings)
    takes_updates = _asks_for_an_argument(build)
    codes, weights, num_classes = _read(path, key)

    for number in range(len(codes) + 1, len(ends)):
        keras.utils.set_random_seed(seed + number)
        start, end = ends[number - 1 : number + 1]
        updates = -(-start // batch_size)  # updates per pass
        passes = max(1, -(-min_updates // updates))
        arguments = (int(epochs * passes * updates),) if takes_updates else ()
        model = _checked_model(build(*arguments))
        is_logits = ends_in_logits(model, from_logits)
        told, block = (
            text_as_tensors(tf.nest.map_structure(lambda a, rows=rows: a[rows], (x, y)))
            for rows in (slice(0, start), slice(start, end))
        )
        # Wrong labels are refused before any training; an unbuilt model is built here.
        first = tf.nest.map_structure(lambda a: tf.constant(a[:1]), told[0])
        num_classes = _log_probabilities(model(first, training=False), is_logits).shape[-1]
        labels = class_labels(y, num_classes)[start:end]
        if warm_start and weights is not None:
            model.set_weights(weights)
        log_probabilities = []
        for epoch in range(epochs):
            passes_before = epoch * passes
            model.fit(
                *told,
                batch_size=batch_size,
                initial_epoch=passes_before,
                epochs=passes_before + passes,
                verbose=0,
            )
            outputs = model.predict(block[0], batch_size=PREDICTED_AT_ONCE, verbose=0)
            found = _log_probabilities(outputs, is_logits).numpy()
            log_probabilities.append(found[np.arange(end - start), labels])
        codes.append(code_of_block(np.stack(log_probabilities)))
        weights = model.get_weights() if warm_start else None
        if path is not None:
            _write(path, key, codes, weights, num_classes)
        if verbose:
            nats = codes[-1].nats / (end - start)
            print(f"labels {start + 1} to {end}: {nats:.4f} nats each, epoch {codes[-1].choice}")
    return joined_code(codes, ends, epochs, num_classes)


def _arrays(data: Any) -> tuple[Any, np.ndarray]:
    """All inputs and labels as arrays."""
    batches = Batches(data)
    batches.first_batch()
    parts = list(batches.parts())
    x, y = tf.nest.map_structure(lambda *leaves: np.concatenate(leaves), *parts)
    if tf.nest.is_nested(y) or y.dtype.kind not in "biuf":
        raise ValueError(f"The labels must be one array of classes. Received: {described(y)}")
    return x, y


def _asks_for_an_argument(build: Callable[..., keras.Model]) -> bool:
    """Whether the function requires an argument.

    Raises:
        TypeError: It can be called neither without an argument nor with one.
    """
    try:
        signature = inspect.signature(build)
    except ValueError:  # some functions of C have no signature
        return False
    for arguments in ((), (1,)):
        with contextlib.suppress(TypeError):
            signature.bind(*arguments)
            return bool(arguments)
    raise refusal(TypeError, "build", "take no argument, or the number of updates", build)


def _checked_model(model: Any) -> keras.Model:
    """Returns the model that `build` made, after checking that it is a compiled Keras model."""
    if not isinstance(model, keras.Model):
        raise refusal(TypeError, "build", "make a keras.Model", model)
    if not model.compiled:
        raise refusal(ValueError, "build", "make a model that is compiled", model)
    return model


def _log_probabilities(outputs: Any, is_logits: bool) -> tf.Tensor:
    """Log-probability of every class, ``[examples, classes]``, float64."""
    if tf.nest.is_nested(outputs) or len(outputs.shape) not in (1, 2):
        raise ValueError(
            "`build` must make a model with one output of shape [batch, classes], or of two "
            f"classes [batch, 1]. Received: outputs={described(outputs)}"
        )
    scores = tf.cast(class_scores(tf.constant(outputs), is_logits), tf.float64)
    return tf.nn.log_softmax(scores) if is_logits else tf.math.log(scores)


def _write(
    path: str | os.PathLike,
    key: str,
    codes: list[BlockCode],
    weights: list[np.ndarray] | None,
    num_classes: int,
) -> None:
    """Writes the blocks coded so far, and the weights from which training continues."""
    table = np.array([[code.nats, code.variance, code.choice] for code in codes])
    arrays = {f"weight_{i}": value for i, value in enumerate(weights or ())}
    write_arrays(path, {"key": key, "codes": table, "num_classes": num_classes, **arrays})


def _read(
    path: str | os.PathLike | None, key: str
) -> tuple[list[BlockCode], list[np.ndarray] | None, int]:
    """Blocks coded in an earlier run, the weights after them, and the number of classes."""
    if path is None or not os.path.exists(path):
        return [], None, 0
    archive = Archive(path, RULE)
    if archive.text("key") != key:
        archive.refuse("of other data or settings")
    table = archive.array("codes", (None, 3))
    num_classes = archive.count("num_classes", 2)
    weights: list[np.ndarray] = []
    while f"weight_{len(weights)}" in archive:
        weights.append(archive.take(f"weight_{len(weights)}"))
    archive.close()
    codes = [BlockCode(float(row[0]), float(row[1]), int(row[2])) for row in table]
    return codes, weights or None, num_classes
