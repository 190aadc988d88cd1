"""The MDL probe: code length of labels given activations, with shuffled labels as the control."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from keras_infobottleneck.arguments import check_count, refusal
from keras_infobottleneck.estimators.coding.labelled_places import LabelledPlaces, labelled_places
from keras_infobottleneck.estimators.coding.softmax_regression import (
    softmax_log_probabilities,
    softmax_regression,
)
from keras_infobottleneck.estimators.coding.switch_code import (
    PrequentialCode,
    block_ends,
    code_of_block,
    joined_code,
)
from keras_infobottleneck.linear_algebra.units import standardised
from keras_infobottleneck.results.result import Result

__all__ = ["MDLProbe", "mdl_probe"]

# Precisions of the prior for standardised activations, between which the code switches.
PENALTIES = (0.1, 1.0, 10.0, 100.0, 1000.0)


@dataclass(frozen=True, repr=False)
class MDLProbe(Result):
    """Code length of labels by a probe of activations, beside that of random labels.

    Attributes:
        code: Code of the labels.
        control: Code of the same labels in random order, about which activations have no
            information. If the code is not well below it, they have none about the labels either.
        least_control_nats: Logarithm of the number of possible orders, `N log C` for many labels in
            balanced classes: the control is at least as long, up to chance.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        z = np.random.default_rng(0).normal(size=(500, 4))
        probe = kib.estimators.mdl_probe(z, (z[:, 0] > 0).astype(int))
        print(f"saved {probe.saved_nats / probe.least_control_nats:.1f} of what random labels take")
        ```

        ```text
        saved 0.9 of what random labels take
        ```
    """

    code: PrequentialCode
    control: PrequentialCode
    least_control_nats: float

    @property
    def saved_nats(self) -> float:
        """Nats saved by the activations: length of the control minus that of the code."""
        return float(self.control.nats) - float(self.code.nats)

    def numbers(self) -> dict[str, float]:
        """Numbers of the code, numbers of the control prefixed `control_`, and the nats saved."""
        control = {f"control_{name}": value for name, value in self.control.numbers().items()}
        control["least_control_nats"] = self.least_control_nats
        return {**self.code.numbers(), "saved_nats": self.saved_nats, **control}

    def plot(self, ax: Any = None) -> Any:
        """Plots the nats per label of each block, for the labels and for the shuffled labels."""
        ax = self.code.plot(ax)
        per_label = self.control.nats_per_label
        ax.plot(self.control.ends, per_label, "o:", color="0.6", label="random labels")
        ax.legend()
        return ax

    def __repr__(self) -> str:
        return (
            f"MDLProbe: {self.code.kbit:,.3f} kbit for {self.code.ends[-1]:,} labels; random "
            f"labels {self.control.kbit:,.3f}, without a probe {self.code.uniform_kbit:,.3f} "
            f"({self.saved_nats:,.1f} nats saved)"
        )


def mdl_probe(
    z: Any,
    y: Any,
    *,
    mask: Any = None,
    blocks: int | Sequence[int] | np.ndarray = 10,
    num_steps: int = 100,
    seed: int = 0,
) -> MDLProbe:
    """Length in nats of labels coded from a layer's activations, by softmax regression.

    A prequential code (`prequential_code`) by softmax regression on the activations: each block is
    coded by a probe that is trained on the labels of all blocks before. It switches between five
    penalties, and pays for the choice. Unlike the accuracy of a probe, the length measures how
    easily the labels can be extracted, not only whether they can be: a probe that needs many labels
    makes blocks long. Exact for these data, this order and this seed.

    The result always includes the same code for labels in random order.

    The labels may be those of places: the words of a sentence, the pixels of an image. One probe
    is used for all places. Masked places are not coded, and may hold any values. Blocks consist of
    whole examples, so that no place is coded by a probe that was trained on other places of the
    same example. The standard error is over examples, since places of one example are dependent.

    Cost: five regressions for each block, twice.

    Args:
        z: `[examples, units]`, activations, such as outputs of a layer, which are standardised
            here. For places `[examples, places, units]`, with any number of axes of places. Further
            axes are flattened to units.
        y: `[examples]` or `[examples, places]`, classes from 0 on, at least two; or one-hot rows
            `[..., classes]`.
        mask: True (or 1) where a label counts, such as ``y >= 0``, in the shape of the labels
            without an axis of classes. By default the mask that Keras keeps with `z`, if it has
            this shape; otherwise every label counts.
        blocks: Ends of the blocks in examples, increasing, the last one N; or the number of blocks,
            each of which ends at twice the number of examples of the one before. Blocks without a
            label are left out.
        num_steps: Number of steps of each regression.
        seed: Seed of the order of examples, and of the random labels.

    Returns:
        An `MDLProbe`.

    Raises:
        TypeError: The arrays do not hold numbers.
        ValueError: Shapes do not match, labels could be both numbers and one-hot rows, there is
            only one class, or blocks do not match the data.

    References:
        Voita & Titov (2020), "Information-theoretic probing with minimum description length",
        arXiv 2003.12298. Hewitt & Liang (2019), arXiv 1909.03368, of the control.

    Example:
        ```python
        import numpy as np
        import keras_infobottleneck as kib

        z = np.random.default_rng(0).normal(size=(500, 4))
        probe = kib.estimators.mdl_probe(z, (z[:, 0] > 0).astype(int))
        print(f"{probe.code.kbit:.2f} kbit; in random order {probe.control.kbit:.2f}")
        ```

        ```text
        0.07 kbit; in random order 0.52
        ```
    """
    places = labelled_places(z, y, mask)
    num_steps = check_count("num_steps", num_steps)
    seed = check_count("seed", seed, 0)
    ends = block_ends(blocks, places.num_examples)
    random = np.random.default_rng(seed)
    places = _in_order(places, random.permutation(places.num_examples))
    ends_of_labels = np.unique(np.searchsorted(places.examples, ends))
    ends_of_labels = ends_of_labels[ends_of_labels > 0]
    if len(ends_of_labels) < 2:
        raise refusal(ValueError, "blocks", "have labels in two of them at least", blocks)
    code, control = (
        _code(places, labels, ends_of_labels, num_steps)
        for labels in (places.y, random.permutation(places.y))
    )
    orders = math.lgamma(len(places.y) + 1) - sum(math.lgamma(n + 1) for n in np.bincount(places.y))
    return MDLProbe(code, control, orders)


def _in_order(places: LabelledPlaces, order: np.ndarray) -> LabelledPlaces:
    """Standardised activations with a one appended, and labels, by examples in another order."""
    z, y, examples, num_examples = places
    # Both sides know the inputs, so all of them may be used.
    z = standardised(z)
    z = np.concatenate([z, np.ones((len(z), 1))], 1)
    ranks = np.argsort(order)[examples]
    sorted_places = np.argsort(ranks, kind="stable")
    return LabelledPlaces(z[sorted_places], y[sorted_places], ranks[sorted_places], num_examples)


def _code(
    places: LabelledPlaces, labels: np.ndarray, ends: np.ndarray, num_steps: int
) -> PrequentialCode:
    """Prequential code of labels at these places: a regression for each penalty and block."""
    z, num_classes, codes = places.z, int(labels.max()) + 1, []
    for start, end in itertools.pairwise(ends):
        found = []
        for penalty in PENALTIES:
            w = softmax_regression(z[:start], labels[:start], num_classes, penalty, num_steps)
            told = softmax_log_probabilities(z[start:end], w)
            found.append(np.take_along_axis(told, labels[start:end, None], 1)[:, 0])
        codes.append(code_of_block(np.stack(found), places.examples[start:end]))
    return joined_code(codes, ends, len(PENALTIES), num_classes)
