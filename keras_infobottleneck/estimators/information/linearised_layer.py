"""A layer linearised around examples: its activations' dependence on the input, and weight noise.

With `J = dz/dw`, `G = dz/dx`, curvature F of the weights and weight noise
`N(0, beta (F + beta / prior_scale^2 I)^-1)`, the activations of one example have noise of
covariance `S = beta J (F + beta / prior_scale^2 I)^-1 J^T`, and the Fisher information
`F_{z|x} = G^T S^-1 G` about their input (the term of the mean).
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_count, check_flag, check_instance
from keras_infobottleneck.arguments.memory import available_bytes, mebibytes
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.fisher.score_products import ScoreProducts
from keras_infobottleneck.estimators.fisher.structures.diagonal import DiagonalFisher
from keras_infobottleneck.estimators.information.eigenvector_memory import check_eigenvectors_fit
from keras_infobottleneck.estimators.information.flat_inputs import side_by_side, with_one_input
from keras_infobottleneck.estimators.information.layer_jacobians import (
    by_inputs,
    by_weights,
    has_copies,
    products_by_weights,
    trial_of,
)
from keras_infobottleneck.estimators.information.minimum import (
    Minimum,
    check_price_of_nat,
    check_prior_scale,
    variables_of,
)
from keras_infobottleneck.introspection.activations import activations_model, with_graph
from keras_infobottleneck.introspection.compiled_passes import compiled
from keras_infobottleneck.introspection.model_data import batches_for, float_types
from keras_infobottleneck.linear_algebra.layout import Layout

__all__ = ["LinearisedLayer"]

# Memory for the Jacobians of the examples that are processed at once.
CHUNK_BYTES = 128 * 2**20
# Directions with less variance, relative to the largest, are rounding errors of a float32 Jacobian.
SMALLEST_VARIANCE = 1e-12
# Smallest share of a signal that counts in a direction without noise; less is rounding error.
SMALLEST_SIGNAL = 1e-5


@dataclasses.dataclass(frozen=True)
class LinearisedLayer:
    """A layer of a model, ready to be linearised around examples.

    Attributes:
        layer: Name of the layer.
        model: Model from the inputs to the layer's output, flattened.
        fisher: Curvature of the weights.
        variables: Those of these weights that the layer's activations depend on.
        numbers: Numbers of `variables` among the variables of the curvature.
        beta: Price of a nat.
        prior_scale: Standard deviation of the prior.
        paper_form: Whether to use the printed Fisher information.
        takes: The model that the examples are made for; `model` has all inputs in one array.
    """

    layer: str
    model: keras.Model
    fisher: FisherInformation
    variables: list[keras.Variable]
    numbers: list[int]
    beta: float
    prior_scale: float
    paper_form: bool
    takes: keras.Model

    @classmethod
    def of(
        cls,
        model: keras.Model,
        layer: str | int | keras.layers.Layer,
        fisher: FisherInformation,
        beta: float,
        prior_scale: float | str,
        *,
        memory_limit: int | None = None,
        paper_form: bool = False,
        average_over: tuple[int, ...] = (),
    ) -> LinearisedLayer:
        """Checks everything that can be checked without data.

        Args:
            model, layer, fisher, beta, prior_scale: As in `effective_information`.
            memory_limit, paper_form: As there.
            average_over: Axes of the layer's output over which it is averaged.

        Raises:
            TypeError, ValueError: An argument is invalid.
        """
        check_flag("paper_form", paper_form)
        check_count("memory_limit", memory_limit, optional=True)
        beta = check_price_of_nat(beta)
        scale = check_prior_scale(prior_scale, "optimal")
        expected = "a FisherInformation of the model"
        check_instance("fisher", fisher, FisherInformation, expected)
        activations = with_graph(activations_model(model, layer))
        outputs = keras.tree.flatten(activations.output)
        if len(outputs) != 1 or None in outputs[0].shape[1:]:
            raise ValueError(
                "The layer must have one output of known size. "
                f"Received: layer={layer!r}, shapes={[tuple(o.shape) for o in outputs]}"
            )
        dtypes = [tensor.dtype for tensor in activations.inputs]
        if not all("float" in dtype for dtype in dtypes):
            raise ValueError(
                "The model must accept floats, so that activations can be differentiated; build "
                "it with a `keras.Input` of floats, which also accepts bytes. "
                f"Received: inputs of dtype {dtypes}"
            )
        if fisher.structure == "implicit":
            raise ValueError(
                "The noise of the weights needs eigenvectors of the Fisher matrix; use "
                "structure='diagonal', 'kronecker', 'dense' or 'gram'. "
                "Received: structure='implicit'"
            )
        check_eigenvectors_fit(fisher, memory_limit)
        variables = variables_of(model, fisher)
        own = {id(v) for v in activations.weights}
        upstream = [i for i, v in enumerate(variables) if id(v) in own]
        if not upstream:
            raise ValueError(
                "The layer's activations must depend on weights that the Fisher matrix is about. "
                f"Received: layer={layer!r}, a matrix of {list(fisher.variables)}"
            )
        if scale is None:
            options = {"memory_limit": memory_limit}
            scale = Minimum.of(model, fisher, fisher_options=options).code(beta, None).prior_scale
            if scale in (0.0, np.inf):
                raise ValueError(
                    "The best prior scale of weights that are all zero or never felt is 0 or "
                    "infinite; give a number. Received: prior_scale='optimal'"
                )
        chosen = [variables[i] for i in upstream]
        if isinstance(fisher, DiagonalFisher):  # other weights are independent and can be left out
            fisher, upstream = _of_variables(fisher, upstream), [*range(len(upstream))]
        return cls(
            activations.name,
            _flat(with_one_input(activations), average_over),
            fisher,
            chosen,
            upstream,
            beta,
            scale,
            paper_form,
            activations if len(dtypes) == 1 else model,
        )

    @property
    def num_units(self) -> int:
        """Number of activations of the layer."""
        return int(self.model.output.shape[1])

    def inputs(self, x: Any) -> np.ndarray:
        """All examples as one array; several inputs side by side, `[examples, entries]`.

        Raises:
            ValueError, TypeError: The data are not finite floats.
        """
        batches = batches_for(self.takes, x, name="x", needs_labels=False)
        parts = []
        for part, _ in batches.parts():
            leaves = [tf.convert_to_tensor(leaf) for leaf in tf.nest.flatten(part)]
            kinds = float_types(self.takes, part, name="x")
            leaves = [tf.cast(leaf, kind) for leaf, kind in zip(leaves, kinds, strict=True)]
            parts.append(side_by_side(leaves))
        inputs = np.concatenate(parts)
        if not np.all(np.isfinite(inputs)):
            raise ValueError("`x` must be finite. Received: NaN or infinite inputs")
        return inputs

    def check_memory(self, inputs: np.ndarray, memory_limit: int | None) -> None:
        """Checks that one example fits in memory.

        Raises:
            ValueError: It does not fit; the message has the numbers.
        """
        need = self._bytes_per_example(inputs)
        limit = available_bytes() if memory_limit is None else memory_limit
        if limit is not None and need > limit:
            raise ValueError(
                f"One example of {self.num_units:,} activations, {inputs[0].size:,} inputs and "
                f"{self.fisher.size:,} weights needs {mebibytes(need)}; choose a narrower layer"
                + ("" if self.fisher.structure == "diagonal" else " or structure='diagonal'")
                + f". Received: memory_limit={mebibytes(limit)}"
            )

    def roots(
        self, inputs: np.ndarray, verbose: int = 0, *, most: int | None = None
    ) -> Iterator[np.ndarray | None]:
        """For each example a matrix A with `F_{z|x} = A^T A`, `[rank, inputs]`.

        It is None if a direction of the activations has a signal and no noise.

        Args:
            inputs: One array.
            verbose: 1 for a Keras progress bar.
            most: Largest number of examples in one compiled pass; as many as fit by default.
        """
        chunk = CHUNK_BYTES // self._bytes_per_example(inputs)
        chunk = int(np.clip(chunk, 1, len(inputs) if most is None else most))
        bar = keras.utils.Progbar(len(inputs), verbose=verbose)
        for start in range(0, len(inputs), chunk):
            part = inputs[start : start + chunk]
            count = len(part)
            # Filled up, so that there is one shape and one trace.
            part = np.concatenate([part, np.repeat(part[:1], chunk - count, axis=0)])
            noise, by_inputs = self._noise(part), self.by_inputs(part)
            for each in range(count):
                yield self._root(noise[each], by_inputs[each])
            bar.update(start + count)

    def draw_noise(self, rng: np.random.Generator, count: int) -> list[np.ndarray]:
        """Draws of the noise on the weights, `[count, *shape]` for each of `variables`."""
        normal = rng.standard_normal([count, self.fisher.size])
        flat = np.sqrt(self.beta) * self.fisher.power_product(normal, -0.5, self._shift)
        return [
            flat[:, span].reshape([count, *variable.shape])
            for span, variable in zip(self._spans, self.variables, strict=True)
        ]

    @property
    def _shift(self) -> float:
        return self.beta / self.prior_scale**2

    @property
    def _spans(self) -> list[slice]:
        """The slices of the variables in the flat order of the curvature."""
        ends = np.cumsum((0, *self.fisher.layout.sizes)).tolist()
        return [slice(ends[i], ends[i + 1]) for i in self.numbers]

    @functools.cached_property
    def _products(self) -> ScoreProducts | None:
        """The computation of the noise without a Jacobian by all weights; None if it needs one."""
        if has_copies(self.model):
            return None
        shift, exponent = (0.0, 1.0) if self.paper_form else (self._shift, -1.0)
        how = self.fisher.score_products(shift, (exponent,), self.numbers)
        # In float64, because directions of little variance would be lost in the rounding of
        # products.
        return None if how is None else how.in_tensors(tf.float64)

    def _bytes_per_example(self, inputs: np.ndarray) -> int:
        """Bytes for the Jacobians of one example, intermediate results and products."""
        units = self.num_units
        numbers = 3 * inputs[0].size + 4 * units
        if self._products is None:
            return 8 * units * (numbers + 4 * self.fisher.size)
        trial = trial_of(self.model, inputs)
        single = {kernel for kernel, count in trial.positions.items() if count == 1}
        sizes = {id(v): math.prod(v.shape) for v in self.variables if id(v) not in single}
        in_loop = sum(size for each, size in sizes.items() if each not in trial.covered)
        # For kernels at one position both factors are held, for others the rows of all units, one
        # weight after the other, but together for weights without a rule. The factors of the kernel
        # being processed are in float64, rotated, side by side and weighted.
        most = 3 * max(sizes.values(), default=0) + in_loop
        at_work = max((trial.position_bytes[kernel] for kernel in single), default=0)
        of_factors = sum(trial.position_bytes.values()) + 8 * at_work
        return units * (8 * (numbers + most) + of_factors)

    def _noise(self, part: np.ndarray) -> np.ndarray:
        """The covariance S of each example, or its printed inverse, `[examples, units, units]`."""
        if self._products is None:
            weighed = self._weighed(self._by_weights(part))
            return weighed @ weighed.transpose(0, 2, 1)
        products = products_by_weights(self.model, self.variables, part, self._products)
        return products / self.beta if self.paper_form else products * self.beta

    def _by_weights(self, part: np.ndarray) -> np.ndarray:
        """Jacobians `dz/dw`, `[examples, units, weights]`; zero for weights without effect."""
        jacobian = np.zeros([len(part), self.num_units, self.fisher.size])
        found = by_weights(self.model, self.variables, part)
        for span, rows in zip(self._spans, found, strict=True):
            jacobian[:, :, span] = rows
        return jacobian

    def by_inputs(self, part: np.ndarray) -> np.ndarray:
        """Jacobians `dz/dx`, `[examples, units, inputs]`."""
        return by_inputs(self.model, part, self.layer)

    def _weighed(self, by_weights: np.ndarray) -> np.ndarray:
        """R with `R R^T = S`, or as printed its inverse, for each example."""
        rows = by_weights.reshape(-1, self.fisher.size)
        if self.paper_form:
            product = self.fisher.power_product(rows, 0.5) / np.sqrt(self.beta)
        else:
            product = self.fisher.power_product(rows, -0.5, self._shift) * np.sqrt(self.beta)
        return product.reshape(by_weights.shape)

    def _root(self, noise: np.ndarray, by_inputs: np.ndarray) -> np.ndarray | None:
        """Root A of one example's Fisher information about its input, `F_{z|x} = A^T A`."""
        values, vectors = np.linalg.eigh(noise)
        signal = vectors.T @ by_inputs.astype(np.float64)
        if self.paper_form:
            return np.sqrt(np.maximum(values, 0.0))[:, None] * signal
        noisy = values > SMALLEST_VARIANCE * values[-1]
        if np.linalg.norm(signal[~noisy]) > SMALLEST_SIGNAL * np.linalg.norm(signal):
            return None
        return signal[noisy] / np.sqrt(values[noisy])[:, None]


def _flat(activations: keras.Model, average_over: tuple[int, ...]) -> keras.Model:
    """Model of the activations, averaged over some axes and flattened to units; made once."""

    def make(model_of: Callable[[], keras.Model]) -> keras.Model:
        model = model_of()
        output = keras.ops.mean(model.output, average_over) if average_over else model.output
        num_units = math.prod(output.shape[1:])
        return keras.Model(model.inputs, keras.ops.reshape(output, (-1, num_units)))

    return compiled(activations, ("flat", average_over), make)


def _of_variables(fisher: DiagonalFisher, numbers: Sequence[int]) -> DiagonalFisher:
    """The part of a diagonal Fisher matrix for some of the variables."""
    layout = Layout(
        tuple(fisher.layout.paths[i] for i in numbers),
        tuple(fisher.layout.shapes[i] for i in numbers),
    )
    values = tuple(fisher.values[i] for i in numbers)
    return DiagonalFisher(layout, fisher.labels, fisher.num_examples, values)
