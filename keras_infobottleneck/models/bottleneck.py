"""The objective: task loss plus the price of the information in weights and activations."""

from typing import Any, Literal, overload

import keras
import numpy as np
import tensorflow as tf

from keras_infobottleneck.arguments import check_count, check_flag, check_price, check_text
from keras_infobottleneck.introspection.contents import layer_names, layers_of_kind, weight_names
from keras_infobottleneck.introspection.making import arguments_given
from keras_infobottleneck.introspection.monitored_direction import LowerIsBetter
from keras_infobottleneck.introspection.replicas import on_replicas
from keras_infobottleneck.layers.variational_weights import VariationalWeights
from keras_infobottleneck.models.anchoring.anchoring import Anchoring
from keras_infobottleneck.models.charging import (
    check_network,
    examples_in,
    warn_of_collapse,
    warn_of_decay,
    warn_of_miscount,
    warn_of_nothing_charged,
)
from keras_infobottleneck.models.network_holder import NetworkHolder, shows_arguments_of
from keras_infobottleneck.models.objective import check_loss, check_objective, price_of_weights

__all__ = ["InformationBottleneckModel"]


@keras.saving.register_keras_serializable(package="keras_infobottleneck")
class InformationBottleneckModel(NetworkHolder):
    """Keras model whose objective includes a price for the information in its weights.

    In nats, the objective is

        loss = mean_batch task loss + weight_beta * KL(q(w) || p(w)) / num_examples
               + activation costs

    - ``weight_beta = 1`` gives the negative evidence lower bound per example, and is the critical
      value of the Lagrangian of the weights, whose loss is a sum ("Emergence", equation 3).
    - The PAC-Bayes objectives replace the sum by a bound on the true risk, for a loss between 0 and
      1 (`BoundedCrossentropy`).
    - The divergence of each `VariationalWeights` counts once, however often the layer is called;
      activation costs are added by the layers that cause them.
    - Logs, for training and validation: ``loss``, ``task_loss`` (per example),
      ``weight_information`` (total nats), the information of each layer that prices its
      activations, and the compiled metrics. Keras' callbacks may monitor ``task_loss`` without a
      `mode`.

    Args:
        inputs, outputs: As in `keras.Model`; or `inputs` alone is a Keras model of any kind, which
            is then trained. It is kept as `network`; `layers`, `inputs`, `summary` and `export`
            refer to it. A subclass with its own layers and `call` is given neither.
        name: Name of the model.
        num_examples: Number of training examples, by which the divergence is divided.
        weight_beta: Price of a nat in the weights; the attribute is a variable, which may be
            assigned.
        objective: ``"lagrangian"``, the formula above. With N for `num_examples` and
            ``c = weight_beta * KL + log(2 sqrt(N) / delta)`` in nats, ``"pac_bayes_quadratic"`` is
            ``(sqrt(task loss + c / 2N) + sqrt(c / 2N))^2``, and ``"pac_bayes_kl"`` the largest r
            with ``kl(task loss || r) <= c / N``. If the model is trained on more examples than the
            certificate will use, `weight_beta` is the ratio of the two numbers.
        delta: Probability of failure in the PAC-Bayes objectives.

    References:
        Achille & Soatto (2018), "Emergence of Invariance and Disentanglement", arXiv 1706.01350.

    Example:
        ```python
        import keras
        import keras_infobottleneck as kib

        V = kib.layers.VariationalWeights
        network = keras.Sequential([keras.Input((4,)), V(keras.layers.Dense(3))])
        model = kib.InformationBottleneckModel(network, num_examples=1000, weight_beta=0.1)
        model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        print(float(model.weight_information()) > 0)
        ```

        ```text
        True
        ```
    """

    def __init__(
        self,
        inputs: Any = None,
        outputs: Any = None,
        name: str | None = None,
        *,
        num_examples: int,
        weight_beta: float = 1.0,
        objective: Literal["lagrangian", "pac_bayes_quadratic", "pac_bayes_kl"] = "lagrangian",
        delta: float = 0.025,
        **kwargs: Any,
    ):
        if not (inputs is outputs is None) or type(self).call is NetworkHolder.call:
            check_network(inputs, outputs)
        check_count("num_examples", num_examples)
        check_price("weight_beta", weight_beta)
        check_objective(objective, delta)
        check_text("name", name, optional=True)
        super().__init__(inputs, outputs, name=name, **kwargs)
        self._num_examples = int(num_examples)
        self.objective, self.delta = objective, float(delta)
        initial = keras.initializers.Constant(weight_beta)
        options = {"dtype": "float32", "autocast": False, "trainable": False}
        self._weight_beta = self.add_weight((), initial, name="weight_beta", **options)
        # Not a Keras variable: those are saved, and restoring weights would reset the count.
        self._examples_seen = tf.Variable(
            0, trainable=False, dtype=tf.int64, aggregation=tf.VariableAggregation.SUM
        )
        self._anchoring_data = None
        self._said_collapse = self._said_nothing_charged = self._said_decay = False
        self._examples_per_epoch = 0.0  # the largest number in any `fit`
        self._task_loss = keras.metrics.Mean("task_loss")
        self._weight_information = keras.metrics.Mean("weight_information")

    @property
    def num_examples(self) -> int:
        """Number of training examples; it may be assigned, also after tracing."""
        return self._num_examples

    @num_examples.setter
    def num_examples(self, value: int) -> None:
        check_count("num_examples", value)
        self._num_examples = int(value)
        if self.compiled:
            self.make_train_function(force=True)
            self.make_test_function(force=True)

    @property
    def weight_beta(self) -> keras.Variable:
        """The price of a nat in the weights: a variable, which traced functions read anew."""
        return self._weight_beta

    @weight_beta.setter
    def weight_beta(self, value: float) -> None:
        check_price("weight_beta", value)
        self._weight_beta.assign(value)

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """Metrics of `keras.Model`, and one that tells callbacks to minimise ``task_loss``."""
        return [*super().metrics, LowerIsBetter(self._task_loss)]

    def train_step(self, data: Any) -> dict[str, tf.Tensor]:
        """One step on the objective of `compute_loss`; also counts the examples of the epoch."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        self._examples_seen.assign_add(tf.cast(examples_in(x), tf.int64))
        return super().train_step(data)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """Task loss, activation costs and regularisers, plus the price of the weights."""
        # Not checked in `compile`: Keras does not compile a loaded model whose class overrides it.
        check_loss(self.objective, self.loss, sample_weight)
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        information = self.weight_information()
        # Keras adds up the losses of all replicas, so each replica contributes its share.
        num_replicas = tf.distribute.get_strategy().num_replicas_in_sync
        batch_size = examples_in(y_pred if x is None else x)
        # A loss added by a layer may have a value for each example, of which Keras takes the sum.
        task_loss = num_replicas * loss - sum(map(keras.ops.sum, self.losses), 0.0)
        self._task_loss.update_state(task_loss, sample_weight=batch_size)
        self._weight_information.update_state(information, sample_weight=batch_size)
        nats = self._weight_beta * information
        price = price_of_weights(self.objective, task_loss, nats, self.num_examples, self.delta)
        return loss + keras.ops.cast(price / num_replicas, loss.dtype)

    @shows_arguments_of(keras.Model.fit)
    def fit(self, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """Trains as `keras.Model.fit`; warns if an epoch does not have `num_examples` examples."""
        seen = int(tf.convert_to_tensor(self._examples_seen))
        if not self._said_nothing_charged and self._weight_beta.numpy() > 0:
            self._said_nothing_charged = warn_of_nothing_charged(self.network)
        if not self._said_decay:
            self._said_decay = warn_of_decay(self)
        history = super().fit(*args, **kwargs)
        if history.epoch:
            if not self._said_collapse:
                self._said_collapse = warn_of_collapse(self, history)
            seen = int(tf.convert_to_tensor(self._examples_seen)) - seen
            self._examples_per_epoch = max(self._examples_per_epoch, seen / len(history.epoch))
            if seen:  # 0 if a subclass replaces `train_step`
                warn_of_miscount(self.num_examples, seen / len(history.epoch))
        return history

    @overload
    def weight_information(self, by_layer: Literal[False] = False) -> tf.Tensor: ...

    @overload
    def weight_information(self, by_layer: Literal[True]) -> dict[str, float]: ...

    def weight_information(self, by_layer: bool = False) -> tf.Tensor | dict[str, float]:
        """Divergence of the weights from their prior, in nats, summed over all weights.

        Args:
            by_layer: Whether to return a dictionary from layer path to nats instead of the total.

        Returns:
            A float32 scalar tensor, or the dictionary of floats.

        Raises:
            ValueError: The model is not built.
        """
        check_flag("by_layer", by_layer)
        layers = Anchoring(self).built_layers
        if not by_layer:
            # A float32 sum is precise enough, because the totals of layers are few.
            return tf.add_n([tf.zeros([]), *(layer.kl_divergence() for layer in layers)])
        names = layer_names(self.network, layers)
        return {name: float(x.kl_divergence()) for name, x in zip(names, layers, strict=True)}

    @shows_arguments_of(keras.Model.summary)
    def summary(self, *args: Any, **kwargs: Any) -> None:
        """The summary of the network, and the information in its weights if it is built."""
        super().summary(*args, **kwargs)
        if not self.network.built:
            return
        write = kwargs.get("print_fn") or print
        table = self.weight_information(by_layer=True)
        write(f"Information in the weights: {sum(table.values()):,.1f} nats")
        for path, nats in table.items():
            write(f"  {path}: {nats:,.1f} nats")

    @property
    def variational_layers(self) -> list[VariationalWeights]:
        """All `VariationalWeights` layers of the network, each once."""
        return layers_of_kind(self.network, VariationalWeights)

    @on_replicas
    def anchor_prior(self, data: Any, scale: bool = True) -> None:
        """Moves every prior to the current posterior and freezes it: a prior for certificates.

        The saved file keeps fingerprints of the examples of `data`, because the prior then depends
        on them; `certify` refuses to use them again. `data` must contain everything that the
        posterior, or the network it was made from, has learned from so far; a warning says so if
        `fit` was given more examples.

        Args:
            data: The data on which the current posterior was trained: ``(x, y)`` arrays, or a
                `tf.data.Dataset` or `keras.utils.PyDataset` of batches ``(x, y)``, before any
                random augmentation, with the same examples in every pass.
            scale: Whether the prior also takes the posterior's scales, weight by weight.

        Raises:
            ValueError: There is no layer to anchor, a prior cannot be anchored or is anchored
                already, or the model is not built.
            TypeError: `data` are of another kind.
        """
        check_flag("scale", scale)
        Anchoring(self).anchor(data, scale, self._examples_per_epoch)
        if self.compiled:
            # The traced functions contain the old prior.
            self.make_train_function(force=True)
            self.make_test_function(force=True)

    @property
    def anchoring_fingerprints(self) -> np.ndarray:
        """Fingerprints, int64, of the examples on which the prior depends."""
        return Anchoring(self).fingerprints

    @property
    def pricing_weights(self) -> list[keras.Variable]:
        """Weights that only set the cost of noise on activations; predictions do not read them."""
        return Anchoring(self).pricing_weights

    @property
    def deterministic_weights(self) -> list[keras.Variable]:
        """Weights of the network without a distribution: biases, normalisation and its statistics.

        Weights that only price the noise of a layer are not included: predictions do not read them.
        """
        return Anchoring(self).deterministic_weights

    @property
    def unanchored_weights(self) -> list[str]:
        """Names of priors and deterministic weights that have changed since the prior was anchored.

        The divergence does not include what they have learned since then. Without anchoring, all
        are listed.
        """
        return list(weight_names(self.network, Anchoring(self).moved))

    def save_own_variables(self, store: Any) -> None:
        """Saves the weights, and for an anchored model the number of its anchoring examples."""
        super().save_own_variables(store)
        Anchoring(self).save(store)

    def load_own_variables(self, store: Any) -> None:
        """Loads the weights of a model that is anchored on the same examples."""
        super().load_own_variables(Anchoring(self).load(store))

    @classmethod
    def from_config(
        cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None
    ) -> "InformationBottleneckModel":
        """Makes the model and its network, with a variable for fingerprints if it is anchored."""
        config, anchoring = Anchoring.split_config(config)
        model = super().from_config(config, custom_objects=custom_objects)
        Anchoring(model).restore(anchoring)
        return model

    def get_config(self) -> dict:
        """The arguments of the constructor, including the network."""
        if self.network is self and type(self).get_config is InformationBottleneckModel.get_config:
            return {**arguments_given(self), **Anchoring(self).config()}
        return {
            **super().get_config(),
            **Anchoring(self).config(),
            "num_examples": self.num_examples,
            "weight_beta": float(self._weight_beta.numpy()),  # `float` of a mirrored variable fails
            "objective": self.objective,
            "delta": self.delta,
        }
