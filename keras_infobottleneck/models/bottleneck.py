"""The objective: task loss, plus the price of what weights and activations keep."""

import warnings
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_count, check_price
from keras_infobottleneck.introspection.model_data import batches_for
from keras_infobottleneck.introspection.predicting import predict
from keras_infobottleneck.models.anchoring.anchored_network import (
    TOLERATED_MISCOUNT,
    AnchoredNetwork,
)
from keras_infobottleneck.models.objective import check_loss, check_objective, price_of_weights
from keras_infobottleneck.models.sampling import Samplers

__all__ = ["InformationBottleneckModel"]


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class InformationBottleneckModel(AnchoredNetwork):
    """A Keras model whose objective charges for the information in its weights.

    ``loss = mean_batch task loss + weight_beta * KL(q(w) || p(w)) / num_examples
    + activation costs``, in nats. ``weight_beta = 1`` is the negative evidence lower bound per
    example, and the critical value of the information bottleneck Lagrangian of the weights, whose
    loss is a sum over examples ("Emergence", equation 3). The PAC-Bayes objectives put a bound on
    the true risk in place of the sum, for a loss between 0 and 1 (`BoundedCrossentropy`).

    The divergence is collected once from every `VariationalWeights`, wherever it sits and however
    often it is called; activation costs come from the layers that cause them. `compute_loss` holds
    the whole objective, so training, evaluation and every distribution strategy agree. Logs, for
    training and validation: ``loss``, ``task_loss`` (per example), ``weight_information`` (total
    nats), the information of each `InformationDropout` layer, and the compiled metrics.

    Args:
        inputs, outputs: as of `keras.Model`; or, alone, `inputs` is a Keras model of any kind,
            which is then trained. It is kept as `network`, to which `layers`, `inputs`,
            `summary` and `export` refer.
        name: name of the model.
        num_examples: number of training examples, by which the divergence is divided.
        weight_beta: price of a nat in the weights; afterwards a variable that may be assigned.
        objective: ``"lagrangian"``, the formula above; or, with ``c = weight_beta * KL
            + log(2 sqrt(num_examples) / delta)`` in nats, ``"pac_bayes_quadratic"``:
            ``(sqrt(task loss + c / 2N) + sqrt(c / 2N))^2``, or ``"pac_bayes_kl"``: the largest r
            with ``kl(task loss || r) <= c / N``. Where more examples are trained on than the
            certificate will be taken on, `weight_beta` is the ratio of the two numbers.
        delta: of the PAC-Bayes objectives.

    References:
        Achille & Soatto (2018), "Emergence of Invariance and Disentanglement in Deep
        Representations", arXiv 1706.01350.
    """

    def __init__(
        self,
        inputs=None,
        outputs=None,
        name: str | None = None,
        *,
        num_examples: int,
        weight_beta: float = 1.0,
        objective: Literal["lagrangian", "pac_bayes_quadratic", "pac_bayes_kl"] = "lagrangian",
        delta: float = 0.025,
        **kwargs,
    ):
        _check_arguments(inputs, outputs, num_examples, weight_beta)
        check_objective(objective, delta)
        super().__init__(inputs, outputs, name=name, **kwargs)
        self._num_examples = int(num_examples)
        self.objective, self.delta = objective, float(delta)
        self._weight_beta = self.add_weight(
            shape=(),
            initializer=keras.initializers.Constant(weight_beta),
            name="weight_beta",
            dtype="float32",
            autocast=False,
            trainable=False,
        )
        # Not a Keras variable: those are saved, and restoring weights would set the count back.
        self._examples_seen = tf.Variable(
            0, trainable=False, dtype=tf.int64, aggregation=tf.VariableAggregation.SUM
        )
        self._samplers = Samplers()
        self._task_loss = keras.metrics.Mean("task_loss")
        self._weight_information = keras.metrics.Mean("weight_information")

    @property
    def num_examples(self) -> int:
        """Number of training examples; may be assigned, also after tracing."""
        return self._num_examples

    @num_examples.setter
    def num_examples(self, value):
        check_count("num_examples", value)
        self._num_examples = int(value)
        if self.compiled:
            self.make_train_function(force=True)
            self.make_test_function(force=True)

    @property
    def weight_beta(self) -> keras.Variable:
        """The price of a nat in the weights: a variable, also after tracing."""
        return self._weight_beta

    @weight_beta.setter
    def weight_beta(self, value):
        check_price("weight_beta", value)
        self._weight_beta.assign(value)

    def train_step(self, data):
        """One step on the objective of `compute_loss`; counts the examples of the epoch."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self._examples_seen.assign_add(tf.cast(_batch_size(x), tf.int64))
        return super().train_step(data)

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        """Task loss, activation costs and regularisers, plus the price of the weights."""
        # Not in `compile`: Keras does not compile a loaded model whose class overrides it.
        check_loss(self.objective, self.loss, sample_weight)
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        information = self.weight_information()
        # Keras adds up the losses of all replicas: each carries its share.
        num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
        batch_size = _batch_size(y_pred if x is None else x)
        # What a layer adds may have a value for each example, of which Keras takes the sum.
        task_loss = num_replicas * loss - sum(map(keras.ops.sum, self.losses), 0.0)
        self._task_loss.update_state(task_loss, sample_weight=batch_size)
        self._weight_information.update_state(information, sample_weight=batch_size)
        price = price_of_weights(
            self.objective,
            task_loss,
            self._weight_beta * information,
            self.num_examples,
            self.delta,
        )
        return loss + keras.ops.cast(price / num_replicas, loss.dtype)

    def predict_step(self, data):
        """Posterior means; `training` is left open, so that activations are not charged."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        return self(x)

    def fit(self, *args, **kwargs):
        """As `keras.Model.fit`; warns once if an epoch does not hold `num_examples` examples."""
        seen = int(tf.convert_to_tensor(self._examples_seen))
        history = super().fit(*args, **kwargs)
        if history.epoch:
            seen = int(tf.convert_to_tensor(self._examples_seen)) - seen
            self._examples_per_epoch = max(self._examples_per_epoch, seen / len(history.epoch))
            if seen:  # a `train_step` in place of this one counts nothing
                self._check_count(seen / len(history.epoch))
        return history

    def _check_count(self, examples_per_epoch: float):
        miscount = abs(examples_per_epoch - self.num_examples)
        if miscount > TOLERATED_MISCOUNT * self.num_examples:
            warnings.warn(
                "The information in the weights is divided by num_examples="
                f"{self.num_examples}, but an epoch held {examples_per_epoch:.0f} examples; "
                "num_examples is the size of the training set.",
                stacklevel=3,
            )

    def weight_information(self, by_layer: bool = False):
        """Divergence of the weights from their prior, in nats, summed over all of them.

        Args:
            by_layer: whether to return a dictionary from layer path to nats instead of the total.

        Returns:
            A float32 scalar tensor, or the dictionary of floats.

        Raises:
            ValueError: the model is not built.
        """
        layers = self._built_variational_layers
        if not by_layer:
            # A float32 sum of float32 totals: adding large layers to small ones loses nothing.
            return tf.add_n([tf.zeros([]), *(layer.kl_divergence() for layer in layers)])
        table = {}
        for layer in layers:
            # Layers of two nested models may have the same path.
            same_path = sum(path.split(" #")[0] == layer.path for path in table)
            key = f"{layer.path} #{same_path + 1}" if same_path else layer.path
            table[key] = float(layer.kl_divergence())
        return table

    def summary(self, *args, **kwargs):
        """The summary of the network, and the information in its weights once it is built."""
        super().summary(*args, **kwargs)
        if not self.network.built:
            return
        write = kwargs.get("print_fn") or print
        table = self.weight_information(by_layer=True)
        write(f"Information in the weights: {sum(table.values()):,.1f} nats")
        for path, nats in table.items():
            write(f"  {path}: {nats:,.1f} nats")

    def predict_samples(
        self,
        x,
        num_samples: int,
        *,
        weights: bool = True,
        activations: bool = True,
        batch_size: int | None = None,
        verbose: int | str = 0,
        seed: int | None = None,
    ) -> np.ndarray:
        """Predictions with drawn weights and activations; batch norm and dropout rest.

        Args:
            x: inputs, an array or a structure of them; a `tf.data.Dataset` or a
                `keras.utils.PyDataset`, whose labels do not matter.
            num_samples: draws for every example; batches draw independently of each other.
            weights: whether weights are drawn.
            activations: whether activations are drawn.
            batch_size, verbose: as of `keras.Model.predict`.
            seed: with the same seed and batch size the samples are the same.

        Returns:
            Array of shape ``[num_samples, examples, ...]``.

        Raises:
            TypeError: data of another kind.
            ValueError: inputs that the model does not take, none, or without an end.
        """
        check_count("num_samples", num_samples)
        # A tuple of arrays is a structure of inputs here, as of `predict`.
        data = (x,) if isinstance(x, tuple) else x
        batches = batches_for(self, data, batch_size, name="x", needs_labels=False)
        sampler = self._samplers.get(self.network, int(num_samples), weights, activations)
        sampler.seed(seed)
        samples = predict(sampler, batches, batch_size=batch_size, verbose=verbose)
        return keras.tree.map_structure(lambda array: np.moveaxis(array, 1, 0), samples)

    def get_config(self) -> dict:
        """The arguments of the constructor, the network among them."""
        return {
            **super().get_config(),
            "num_examples": self.num_examples,
            "weight_beta": float(self._weight_beta.numpy()),  # `float` of a mirrored variable fails
            "objective": self.objective,
            "delta": self.delta,
        }


def _batch_size(data):
    return tf.shape(next(x for x in keras.tree.flatten(data) if x is not None))[0]


def _check_arguments(inputs, outputs, num_examples, weight_beta):
    if (outputs is None) != isinstance(inputs, keras.Model):
        raise TypeError(
            "`inputs` must be a Keras model where `outputs` is not given, and symbolic inputs "
            f"where it is. Received: inputs={inputs!r}, outputs={outputs!r}"
        )
    check_count("num_examples", num_examples)
    check_price("weight_beta", weight_beta)
