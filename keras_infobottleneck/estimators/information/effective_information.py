"""Information about the input in a layer whose weights have noise."""

from __future__ import annotations

import dataclasses
from typing import Any, Literal

import keras
import numpy as np

from keras_infobottleneck.arguments import check_verbose
from keras_infobottleneck.arguments.memory import available_bytes, mebibytes
from keras_infobottleneck.estimators.fisher import FisherInformation
from keras_infobottleneck.estimators.information.flat_inputs import covariance_root
from keras_infobottleneck.estimators.information.linearised_layer import LinearisedLayer
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.results.result import Result

__all__ = [
    "EffectiveInformation",
    "activation_fisher",
    "effective_information",
    "information_of",
]


@dataclasses.dataclass(frozen=True)
class EffectiveInformation(Result):
    """Nats of information in a layer's activations about the input.

    Attributes:
        nats: Mean over examples.
        per_example: `[examples]`.
        standard_error: Standard error of the mean, from the spread of the examples.
        sensitivity: Diagonal of each example's `F_{z|x}`: how strongly the activations react to
            each entry of the input, per squared unit of it. It has the shape of the inputs, or
            `[examples, entries]` of several inputs side by side. NaN if the information is
            infinite.
        layer: Name of the layer.
        num_units: Number of its activations.
        num_examples: Number of examples.
        beta: Price of a nat relative to the mean loss.
        prior_scale: Standard deviation of the prior.
        paper_form: Whether the printed Fisher information was used.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        x = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="narrow")])
        model.compile(loss="mse")
        fisher = kib.estimators.fisher_information(model, x, labels="expected")
        found = kib.estimators.effective_information(
            model, x, layer="narrow", fisher=fisher, beta=0.01
        )
        print(found.num_units, found.per_example.shape, found.sensitivity.shape)
        ```

        ```text
        2 (30,) (30, 4)
        ```
    """

    nats: float
    per_example: np.ndarray
    standard_error: float
    sensitivity: np.ndarray
    layer: str
    num_units: int
    num_examples: int
    beta: float
    prior_scale: float
    paper_form: bool

    _points = ("per_example",)

    def __repr__(self) -> str:
        return (
            f"EffectiveInformation({self.nats:.6g} ± {self.standard_error:.2g} nats, "
            f"layer={self.layer!r}, {self.num_units} units, {self.num_examples} examples, "
            f"beta={self.beta:.4g}, prior_scale={self.prior_scale:.4g})"
        )


@on_replicas
def effective_information(
    model: keras.Model,
    x: Any,
    *,
    layer: str | int | keras.layers.Layer,
    fisher: FisherInformation,
    beta: float,
    prior_scale: float | Literal["optimal"] = "optimal",
    paper_form: bool = False,
    memory_limit: int | None = None,
    verbose: int = 0,
) -> EffectiveInformation:
    """Effective information in a layer's activations, nats: about the input, given weight noise.

    The weights have the noise `N(0, beta (F + beta / prior_scale^2 I)^-1)` of their Gaussian code.
    To first order the activations of an example then have the noise
    `S = beta J (F + beta / prior_scale^2 I)^-1 J^T` and the Fisher information
    `F_{z|x} = G^T S^-1 G` about the input (`J = dz/dw`, `G = dz/dx`; the term of the mean), and

        nats = mean_x 1/2 log det(I + C^T F_{z|x} C),  C C^T the covariance of x.

    How accurate it is:

    - Exact for a linear layer with Gaussian inputs if S did not depend on x. In general it is a
      local Gaussian approximation, finite for F_{z|x} of any rank, which
      `simulated_effective_information` checks for small layers.
    - Weights with little curvature have the noise of the prior, whose best scale is about that of
      the weights: if the layer depends on them, the noise is not small.
    - With fewer examples than input entries the covariance has less than full rank, and the result
      is too low.
    - It is infinite if a direction of the activations changes with the input and has no noise, such
      as a unit without bias at a zero input.

    Cost, for each example:

    - one backward pass per unit for the weights and one for the inputs. In layers with a loop over
      time, units are computed together, each with a copy of the examples: 64 units of an LSTM over
      40 steps take about 0.08 seconds of one core;
    - for a layer without a rule, such as a convolutional LSTM or a stack of cells, a pass of the
      whole network per unit;
    - the decomposition of a `[units, units]` matrix. The memory is several times units times units,
      or, for a kernel at several positions, units times its weights. The noise is added up kernel
      by kernel. With a loop over time, and for `structure="dense"` and `"gram"`, it is computed
      from a Jacobian with respect to all weights.

    Args:
        model: A built model of float inputs; a subclassed model must have a single input array.
        x: Inputs, floats or uint8 `[examples, ...]`, several arrays in a list or a dictionary, or a
            dataset; labels are ignored. Their covariance is computed from the same examples.
        layer: A layer of the model, its name or its index; preferably a narrow one.
        fisher: Fisher matrix of the model's weights, of any structure but "implicit". Weights that
            are not in it have no noise; weights after the layer have no effect.
        beta: Price of a nat relative to the mean loss, as in `information_in_weights`.
        prior_scale: Standard deviation of the prior, or "optimal" as there.
        paper_form: The printed `F_{z|x} = (1/beta) G^T J F J^T G`, which rises with the scale of
            the inputs although the information falls with it.
        memory_limit: Bytes; the system's free memory by default.
        verbose: 1 for a Keras progress bar.

    Raises:
        ValueError, TypeError: An argument is invalid, there is a single example, or the memory is
            too small; raised before any pass.

    References:
        Achille, Paolini & Soatto, 2019, "Where is the Information in a Deep Neural Network?",
        arXiv 1905.12213, Definition 3.1 and Proposition 3.2, corrected.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        x = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="narrow")])
        model.compile(loss="mse")
        fisher = kib.estimators.fisher_information(model, x, labels="expected")
        low = kib.estimators.effective_information(
            model, x, layer="narrow", fisher=fisher, beta=1.0
        )
        high = kib.estimators.effective_information(
            model, x, layer="narrow", fisher=fisher, beta=1e-3
        )
        print(low.nats < high.nats)  # a higher price leaves less of the input
        ```

        ```text
        True
        ```
    """
    check_verbose("verbose", verbose)
    linearised = LinearisedLayer.of(
        model, layer, fisher, beta, prior_scale, memory_limit=memory_limit, paper_form=paper_form
    )
    return information_of(linearised, x, memory_limit=memory_limit, verbose=verbose)


def information_of(
    linearised: LinearisedLayer,
    x: Any,
    *,
    memory_limit: int | None = None,
    verbose: int = 0,
    most: int | None = None,
) -> EffectiveInformation:
    """Effective information of a layer that is ready to be linearised.

    Args:
        linearised: The layer.
        x, memory_limit, verbose: As in `effective_information`.
        most: Largest number of examples in one compiled pass.
    """
    inputs = linearised.inputs(x)
    linearised.check_memory(inputs, memory_limit)
    root = covariance_root(inputs)
    nats = np.full(len(inputs), np.inf)
    sensitivity = np.full([len(inputs), inputs[0].size], np.nan)
    for number, found in enumerate(linearised.roots(inputs, verbose, most=most)):
        if found is not None:
            sensitivity[number] = np.sum(found**2, 0)
            signal = found @ root
            nats[number] = 0.5 * np.linalg.slogdet(np.eye(len(found)) + signal @ signal.T)[1]
    finite = np.all(np.isfinite(nats))
    return EffectiveInformation(
        nats=float(nats.mean()),
        per_example=nats,
        standard_error=float(nats.std(ddof=1) / np.sqrt(len(nats))) if finite else np.inf,
        sensitivity=sensitivity.reshape(inputs.shape),
        layer=linearised.layer,
        num_units=linearised.num_units,
        num_examples=len(inputs),
        beta=linearised.beta,
        prior_scale=linearised.prior_scale,
        paper_form=linearised.paper_form,
    )


@on_replicas
def activation_fisher(
    model: keras.Model,
    x: Any,
    *,
    layer: str | int | keras.layers.Layer,
    fisher: FisherInformation,
    beta: float,
    prior_scale: float | Literal["optimal"] = "optimal",
    paper_form: bool = False,
    memory_limit: int | None = None,
) -> np.ndarray:
    """Fisher information of a layer's activations about the input, one matrix per example.

    This is `F_{z|x}` of `effective_information`, with the same arguments and costs.

    Returns:
        `[examples, inputs, inputs]`, per squared unit of the inputs; NaN where it is infinite.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        x = np.random.default_rng(0).normal(size=(30, 4)).astype("float32")
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="narrow")])
        model.compile(loss="mse")
        fisher = kib.estimators.fisher_information(model, x, labels="expected")
        matrices = kib.estimators.activation_fisher(
            model, x, layer="narrow", fisher=fisher, beta=0.01
        )
        print(matrices.shape)  # [examples, inputs, inputs]
        ```

        ```text
        (30, 4, 4)
        ```
    """
    linearised = LinearisedLayer.of(
        model, layer, fisher, beta, prior_scale, memory_limit=memory_limit, paper_form=paper_form
    )
    inputs = linearised.inputs(x)
    linearised.check_memory(inputs, memory_limit)
    width = inputs[0].size
    limit = available_bytes() if memory_limit is None else memory_limit
    if limit is not None and 8 * len(inputs) * width**2 > limit:
        raise ValueError(
            f"{len(inputs):,} matrices of {width:,} x {width:,} need "
            f"{mebibytes(8 * len(inputs) * width**2)}; `effective_information` keeps their "
            f"diagonals only. Received: memory_limit={mebibytes(limit)}"
        )
    matrices = np.full([len(inputs), width, width], np.nan)
    for number, found in enumerate(linearised.roots(inputs)):
        if found is not None:
            matrices[number] = found.T @ found
    return matrices
