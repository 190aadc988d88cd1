"""Sums over a batch for the Kronecker factors, and the choice of a kernel's factors.

The gradient of one example for a kernel that is used at several positions is
`G = sum_t x_t d_t^T`. The form "expand" treats the `x_t d_t^T` as independent and adds up their
second moments; "reduce" replaces `G` by `(mean_t x_t) (sum_t d_t)^T`, which is exact if the network
sums or averages over the positions of a linear layer. With one position both are the same.

References:
    Eschenhagen, Immer, Turner, Schneider & Hennig, 2023, "Kronecker-Factored Approximate Curvature
    for Modern Neural Network Architectures", arXiv 2311.00636, Section 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.data.batches import Batch
from keras_infobottleneck.estimators.fisher.measurement import Measurement
from keras_infobottleneck.estimators.fisher.rules.bilinear import BilinearGradient
from keras_infobottleneck.estimators.fisher.rules.gradients import DirectGradient
from keras_infobottleneck.estimators.fisher.rules.kernel import KernelRule, keep_inputs
from keras_infobottleneck.estimators.fisher.rules.rule import rule_for
from keras_infobottleneck.estimators.fisher.scores import Scores
from keras_infobottleneck.estimators.fisher.structures.kronecker_side import is_diagonal
from keras_infobottleneck.introspection.compiled_passes import sum_over
from keras_infobottleneck.introspection.contents import all_layers

__all__ = [
    "BlockPlan",
    "choose_forms",
    "factor_sums",
    "from_upper_blocks",
    "plan_blocks",
    "sides_of",
    "with_bias",
]

# Smallest width of the blocks in which a symmetric product is computed: narrower ones are slower.
BLOCK_WIDTH = 192
# Number of examples on which the form of each kernel's factors is chosen.
NUM_TRIED = 128


@dataclass(frozen=True)
class BlockPlan:
    """Plan of a block: its variables, and the form of its factors.

    Attributes:
        kernel: Number of the kernel.
        bias: Number of the bias; -1 without one.
        order: For each kernel entry its index in flat `[groups, in, out]`.
        positions: Number of positions of an example at which the kernel is used.
        inputs_are_diagonal: Whether only the diagonal of the inputs' factor is kept.
        outputs_are_diagonal: Whether only the diagonal of the outputs' factor is kept.
    """

    kernel: int
    bias: int
    order: np.ndarray
    positions: int
    inputs_are_diagonal: bool
    outputs_are_diagonal: bool


def sides_of(
    model: keras.Model, variables: Sequence[keras.Variable]
) -> tuple[list[tuple[int, int]], int]:
    """Groups and side of each factor, and the number of weights without factors."""
    chosen = {id(v): math.prod(v.shape) for v in variables}
    sides = []
    for layer in all_layers(model):
        rule = rule_for(layer)
        if isinstance(rule, KernelRule) and chosen.pop(id(rule.kernel), None) is not None:
            groups, fan_in, fan_out = rule.block()
            # Counts every bias as part of the block; whether it is depends on the inputs' shapes.
            sides += [(groups, fan_in + (id(rule.bias) in chosen)), (groups, fan_out)]
    return sides, sum(chosen.values())


def plan_blocks(scores: Scores, max_side: int | None = None) -> list[BlockPlan]:
    """One plan for each kernel; factors wider than `max_side` are diagonal."""
    most = math.inf if max_side is None else max_side
    biases = {
        id(form.calls[0]): i
        for i, form in enumerate(scores.forms)
        if isinstance(form, DirectGradient) and form.is_bias
    }
    plans = []
    for i, form in enumerate(scores.forms):
        if isinstance(form, BilinearGradient):
            bias = biases.get(id(form.calls[0]), -1)
            _, fan_in, fan_out = form.block
            is_wide = fan_in + (bias >= 0) > most, fan_out > most
            plans.append(BlockPlan(i, bias, form.order, form.positions, *is_wide))
    return plans


def choose_forms(measurement: Measurement) -> dict[int, str]:
    """Maps the number of each kernel with several positions to its form; kept with the model.

    The form is the one whose trace is nearer to the exact one, by ratio, on the first examples.
    """
    forms: dict[int, str] = measurement.kept("kronecker forms", lambda _: {})
    if forms or measurement.num_positions == 1:
        return forms
    variables, source = measurement.variables, measurement.source
    kernels: list[int] = []

    def make(
        model_of: Callable[[], keras.Model],
    ) -> Callable[..., tuple[tf.Tensor, list[list[tf.Tensor]]]]:
        def step(batch: Batch, key: tf.Tensor) -> tuple[tf.Tensor, list[list[tf.Tensor]]]:
            scores = Scores(model_of(), variables, source, batch, key)
            plans = plan_blocks(scores)
            plans = [plan for plan in plans if plan.positions > 1]
            kernels[:] = [plan.kernel for plan in plans]
            return tf.reduce_sum(batch.weights), _trial_sums(scores, plans)

        return tf.function(step, autograph=False)

    step, count = make(lambda: measurement.model), 0.0
    found: Any = 0.0  # becomes `[kernels, 5]` with the first batch
    for batch in measurement.batches:
        rows, sums = step(batch, measurement.key)
        found, count = found + np.array(sums, np.float64), count + float(rows)
        if count >= NUM_TRIED:
            break
    for kernel, (exact, x, d, x_reduced, d_reduced) in zip(kernels, found, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            expand, reduce = np.abs(
                np.log(np.array([x * d, x_reduced * d_reduced]) / count / exact)
            )
        forms[kernel] = "reduce" if reduce < expand else "expand"
    return forms


def _trial_sums(scores: Scores, plans: list[BlockPlan]) -> list[list[tf.Tensor]]:
    """Exact trace of each block, and traces of the factors in both forms, `[blocks, 5]`."""
    forms: list[Any] = [scores.forms[plan.kernel] for plan in plans]
    keep_inputs(forms, scores.weights)

    def of_column(k: int | tf.Tensor) -> tf.Tensor:
        rows, gradients = [], scores.gradients(k)
        for plan, form in zip(plans, forms, strict=True):
            d = form.outputs(gradients[plan.kernel])
            sums = [form.norms(d), tf.square(d), tf.square(tf.reduce_sum(d, 1))]
            exact, expanded, reduced = (tf.reduce_sum(a) for a in sums)
            rows.append([exact + reduced if plan.bias >= 0 else exact, expanded, reduced])
        return tf.convert_to_tensor(rows)

    zeros = tf.zeros([len(plans), 3], forms[0].dtype) if forms else tf.zeros([0, 3])
    outputs = sum_over(scores.num_columns, of_column, zeros)
    rows = []
    for plan, form, sums in zip(plans, forms, tf.unstack(outputs), strict=True):
        exact, *moments = tf.unstack(sums)
        x, positions = form.inputs(weights=scores.weights), form.positions
        ones = positions * tf.cast(tf.reduce_sum(scores.weights), x.dtype) * (plan.bias >= 0)
        expanded = tf.reduce_sum(tf.square(x)) + ones
        reduced = tf.reduce_sum(tf.square(tf.reduce_sum(x, 1))) / positions + ones
        d, d_reduced = (moment / positions for moment in moments)
        rows.append([exact, expanded, d, reduced, d_reduced])
    return rows


def factor_sums(scores: Scores, plans: list[BlockPlan], reduced: set[int]) -> tuple[Any, ...]:
    """Sums over the batch: input factors, their bias rows, output factors, diagonals, traces.

    Input factors are `[groups, in, in]` in blocks (see `from_upper_blocks`), without the row of the
    bias (see `with_bias`); diagonal ones are `[groups, in]`. The diagonals are those of weights
    without factors. Traces are exact and in float64: of each block's kernel and bias, `[blocks,
    2]`, and of all weights for each example, `[batch]`.

    Args:
        scores: Scores of the batch.
        plans: The blocks.
        reduced: Numbers of the kernels whose form is "reduce".
    """
    in_block = {i for plan in plans for i in (plan.kernel, plan.bias) if i >= 0}
    forms: list[Any] = scores.forms
    rest = [i for i in range(len(forms)) if i not in in_block]
    inputs, bias_rows = [], []
    keep_inputs((forms[plan.kernel] for plan in plans), scores.weights)
    for plan in plans:
        form = forms[plan.kernel]
        x = form.inputs(weights=scores.weights)
        if plan.kernel in reduced:
            x = tf.reduce_sum(x, 1, keepdims=True) / math.sqrt(form.positions)
        inputs.append([_squares(x)] if plan.inputs_are_diagonal else _upper_blocks(x))
        count = tf.cast(form.positions * tf.reduce_sum(scores.weights), form.dtype)
        row = form.sum_of_inputs(scores.weights)
        bias_rows.append(tf.concat([row, tf.fill([form.block[0], 1], count)], 1))

    def of_column(k: int | tf.Tensor) -> tuple[list[Any], list[Any]]:
        gradients, outputs = scores.gradients(k), []
        for plan in plans:
            form = forms[plan.kernel]
            d = form.outputs(gradients[plan.kernel])
            total = tf.reduce_sum(d, 1, keepdims=True)
            moment = _squares if plan.outputs_are_diagonal else _second_moment
            factor = moment(total if plan.kernel in reduced else d) / form.positions
            of_bias = tf.reduce_sum(tf.square(total), [1, 2, 3]) * (plan.bias >= 0)
            outputs.append((factor, form.norms(d), of_bias))
        return outputs, [forms[i].squares(gradients[i]) for i in rest]

    def no_outputs(plan: BlockPlan) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        form = forms[plan.kernel]
        groups, _, fan_out = form.block
        shape = [groups, fan_out] if plan.outputs_are_diagonal else [groups, fan_out, fan_out]
        none = tf.zeros([form.num_rows], form.dtype)
        return tf.zeros(shape, form.dtype), none, none

    zeros = [no_outputs(plan) for plan in plans], [forms[i].no_squares() for i in rest]
    outputs, squares = sum_over(scores.num_columns, of_column, zeros)
    traces = [tf.stack([tf.cast(a, tf.float64) for a in pair]) for _, *pair in outputs]
    norms = [tf.reduce_sum(pair, 0) for pair in traces]
    norms += [tf.cast(norm, tf.float64) for _, norm in squares]
    return (
        inputs,
        bias_rows,
        [factor for factor, *_ in outputs],
        [values for values, _ in squares],
        [tf.reduce_sum(pair, 1) for pair in traces],
        tf.add_n(norms),
    )


def with_bias(inputs: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Second moments of inputs with a one appended, `[groups, in + 1, in + 1]` or a diagonal.

    Joined once, at the end: appending a column of ones to every patch would copy all patches.
    """
    if is_diagonal(inputs):
        return np.concatenate([inputs, row[:, -1:]], 1)
    column = row[:, :-1, None]
    return np.block([[inputs, column], [column.transpose(0, 2, 1), row[:, -1:, None]]])


def from_upper_blocks(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """The symmetric matrices `[groups, n, n]` from their blocks on and above the diagonal."""
    upper = iter(blocks)
    count = math.isqrt(2 * len(blocks))
    table: list = [[None] * count for _ in range(count)]
    for i in range(count):
        for j in range(i, count):
            table[i][j] = next(upper)
            table[j][i] = table[i][j].transpose(0, 2, 1)
    return np.block(table)


def _upper_blocks(a: tf.Tensor) -> list[tf.Tensor]:
    """`_second_moment` in blocks, those on and above the diagonal, row by row.

    For a wide matrix this saves up to three eighths of the work, since the matrix is symmetric.
    """
    count = min(4, a.shape[3] // BLOCK_WIDTH)
    if a.shape[2] > 1 or count < 2:
        return [_second_moment(a)]
    a = tf.reshape(a, [-1, a.shape[3]])
    sizes = [len(part) for part in np.array_split(np.arange(a.shape[1]), count)]
    parts = tf.split(a, sizes, axis=1)
    return [
        tf.matmul(left, right, transpose_a=True)[None]
        for i, left in enumerate(parts)
        for right in parts[i:]
    ]


def _squares(a: tf.Tensor) -> tf.Tensor:
    """The diagonal of `_second_moment`, `[groups, n]`."""
    return tf.reduce_sum(tf.square(a), [0, 1])


def _second_moment(a: tf.Tensor) -> tf.Tensor:
    """`[batch, positions, groups, n]` to `[groups, n, n]`, summed."""
    if a.shape[2] == 1:
        a = tf.reshape(a, [-1, a.shape[3]])
        return tf.matmul(a, a, transpose_a=True)[None]
    return tf.einsum("btgi,btgj->gij", a, a)
