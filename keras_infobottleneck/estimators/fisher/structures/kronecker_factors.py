"""What a pass over a batch adds to the Kronecker factors."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from keras_infobottleneck.estimators.fisher.gradients import Bilinear, Direct
from keras_infobottleneck.estimators.fisher.scores import Scores
from keras_infobottleneck.introspection.compiled_passes import sum_over

__all__ = ["factor_sums", "from_upper_blocks", "plan_blocks", "with_bias"]

# Least width of the blocks in which a symmetric product is made: narrower ones are slower.
BLOCK_WIDTH = 192


def plan_blocks(scores: Scores) -> list[tuple[int, int, np.ndarray]]:
    """Kernel, bias or -1, and order of each block."""
    biases = {
        id(form.calls[0]): i
        for i, form in enumerate(scores.forms)
        if isinstance(form, Direct) and form.is_bias
    }
    plans = []
    for i, form in enumerate(scores.forms):
        if isinstance(form, Bilinear):
            places = np.arange(np.prod(form.block), dtype=np.int32).reshape(form.block)
            with tf.init_scope():
                order = form.arrange(tf.constant(places)).numpy()
            plans.append((i, biases.get(id(form.calls[0]), -1), order))
    return plans


def factor_sums(scores: Scores, plans, block_bytes: int):
    """Sums over the batch: input factors, their bias rows, output factors, diagonals, traces.

    Input factors are `[groups, in, in]` in blocks, see `from_upper_blocks`, without the bias, see
    `with_bias` for its row. Diagonals are those of the rest. Traces, `[batch, n]`, are each
    example's of each output factor and of each diagonal.
    """
    in_block = {i for kernel, bias, *_ in plans for i in (kernel, bias) if i >= 0}
    forms = scores.forms
    rest = [i for i in range(len(forms)) if i not in in_block]

    def of_column(k):
        gradients = scores.gradients(k)
        outputs = []
        for kernel, *_ in plans:
            d = forms[kernel].outputs(gradients[kernel])
            outputs.append((_second_moment(d), tf.reduce_sum(d**2, [1, 2, 3])))
        return outputs, [forms[i].squares(gradients[i], block_bytes) for i in rest]

    def no_outputs(form: Bilinear):
        groups, _, fan_out = form.block
        return tf.zeros([groups, fan_out, fan_out], form.dtype), tf.zeros(
            [form.num_rows], form.dtype
        )

    zeros = [no_outputs(forms[plan[0]]) for plan in plans], [forms[i].no_squares() for i in rest]
    outputs, squares = sum_over(scores.num_columns, of_column, zeros)
    inputs, bias_rows, factors, traces = [], [], [], []
    for (kernel, _, _), (factor, trace) in zip(plans, outputs, strict=True):
        form, positions = forms[kernel], forms[kernel].positions
        inputs.append(_upper_blocks(form.inputs(weights=scores.weights)))
        count = tf.cast(positions * tf.reduce_sum(scores.weights), form.dtype)
        row = form.sum_of_inputs(scores.weights)
        bias_rows.append(tf.concat([row, tf.fill([form.block[0], 1], count)], 1))
        factors.append(factor / positions)
        traces.append(trace / positions)
    traces = [tf.cast(trace, tf.float64) for trace in traces + [norms for _, norms in squares]]
    return inputs, bias_rows, factors, [values for values, _ in squares], tf.stack(traces, 1)


def with_bias(inputs: np.ndarray, row: np.ndarray) -> np.ndarray:
    """Second moments of inputs with a one behind them, `[groups, in + 1, in + 1]`.

    Put together once, at the end: a column of ones behind every patch would be a copy of them all.
    """
    column = row[:, :-1, None]
    return np.block([[inputs, column], [column.transpose(0, 2, 1), row[:, -1:, None]]])


def from_upper_blocks(blocks: Sequence[np.ndarray]) -> np.ndarray:
    """The symmetric matrices `[groups, n, n]` whose blocks on and above the diagonal are given."""
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

    A wide matrix is symmetric at up to three eighths less work, and as much less to add up.
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


def _second_moment(a: tf.Tensor) -> tf.Tensor:
    """`[batch, positions, groups, n]` to `[groups, n, n]`, summed."""
    if a.shape[2] == 1:
        a = tf.reshape(a, [-1, a.shape[3]])
        return tf.matmul(a, a, transpose_a=True)[None]
    return tf.einsum("btgi,btgj->gij", a, a)
