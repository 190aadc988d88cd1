"""A network whose prior can be moved to its posterior and kept there, as certificates need it."""

import warnings

import keras
import numpy as np

from keras_infobottleneck.layers.anchoring_data import AnchoringData
from keras_infobottleneck.layers.noisy_wrapper import NoisyWrapper
from keras_infobottleneck.layers.variational_weights import VariationalWeights
from keras_infobottleneck.models.anchoring.anchoring_examples import anchoring_examples
from keras_infobottleneck.models.network_holder import NetworkHolder

__all__ = ["TOLERATED_MISCOUNT", "AnchoredNetwork"]

TOLERATED_MISCOUNT = 0.01  # share by which an epoch may differ from what was said of it


class AnchoredNetwork(NetworkHolder):
    """Abstract: knows which of its weights have a distribution, and what their prior came from.

    Args:
        inputs, outputs, name: as of `NetworkHolder`.
    """

    def __init__(self, inputs, outputs=None, name: str | None = None, **kwargs):
        super().__init__(inputs, outputs, name=name, **kwargs)
        self._anchoring_data = AnchoringData(name="anchoring_data")
        self._examples_per_epoch = 0.0  # the most that a `fit` of the subclass was given

    @property
    def variational_layers(self) -> list[VariationalWeights]:
        """Every `VariationalWeights` in the network, each once."""
        layers = self.network._flatten_layers()
        return [layer for layer in layers if isinstance(layer, VariationalWeights)]

    @property
    def _built_variational_layers(self) -> list[VariationalWeights]:
        """The same, which have weights only once they are built."""
        layers = self.variational_layers
        for layer in layers:
            if not layer.built:
                raise ValueError(
                    "The model has no weights before it is built: call it on a batch first. "
                    f"Received: layer={layer.name!r}, not built"
                )
        return layers

    def anchor_prior(self, data, scale: bool = True):
        """Move every prior to the current posterior and freeze it: a prior for certificates.

        Fingerprints of the examples of `data`, on which the prior depends from now on, are kept
        in the saved file, so that a certificate can refuse to be taken on them. `data` must hold
        everything that the posterior, or the network it was made from, has learned from so far;
        a warning says so where `fit` was given more.

        Args:
            data: what the current posterior was trained on: ``(x, y)`` arrays, or a
                `tf.data.Dataset` or `keras.utils.PyDataset` of batches ``(x, y)``, before any
                random augmentation and the same examples in every pass.
            scale: whether the prior takes the posterior's scales too, weight by weight.

        Raises:
            ValueError: no layer to anchor, one whose prior cannot be anchored, an unbuilt model, or
                a prior that is anchored already.
            TypeError: `data` of another kind.
        """
        layers = self._built_variational_layers
        if not layers:
            raise ValueError(
                f"The model has no VariationalWeights to anchor. Received: model={self.name!r}"
            )
        for layer in layers:
            if layer.posterior_name != "gaussian":
                raise ValueError(
                    "Only Gaussian priors can be anchored. "
                    f"Received: layer={layer.name!r}, posterior={layer.posterior_name!r}"
                )
        examples = anchoring_examples(self, data)
        if len(self.anchoring_fingerprints):
            raise ValueError(
                "The prior is anchored already. "
                f"Received: a second set of {len(examples)} anchoring examples"
            )
        if len(examples) < (1.0 - TOLERATED_MISCOUNT) * self._examples_per_epoch:
            warnings.warn(
                f"An epoch of `fit` held {self._examples_per_epoch:.0f} examples, the anchoring "
                f"data hold {len(examples)}: a certificate on examples that the posterior has "
                "seen before it was anchored is void.",
                stacklevel=2,
            )
        for layer in layers:
            layer.anchor_prior(scale)
        self._anchoring_data.remember(examples, self._anchored_weights)
        if self.compiled:
            # The traced step holds the old prior.
            self.make_train_function(force=True)
            self.make_test_function(force=True)

    @property
    def anchoring_fingerprints(self) -> np.ndarray:
        """Fingerprints, int64, of the examples on which the prior depends; empty if on none."""
        return self._anchoring_data.fingerprints

    @property
    def pricing_weights(self) -> list[keras.Variable]:
        """Weights that only say what noise on activations costs: no prediction may read them."""
        noisy = [x for x in self.network._flatten_layers() if isinstance(x, NoisyWrapper)]
        return [weight for layer in noisy for weight in layer.pricing_weights]

    @property
    def deterministic_weights(self) -> list[keras.Variable]:
        """Weights of the network without a distribution: biases, normalisation, its statistics.

        Those that only price the noise of a layer are none of them: no prediction reads them.
        """
        accounted = {id(weight) for weight in self.pricing_weights}
        for layer in self.variational_layers:
            inner = {id(weight) for weight in layer.layer.weights}
            accounted |= {id(weight) for weight in layer.weights} - inner
            accounted |= {id(weight) for weight in layer.variational_weights}
        return [weight for weight in self.network.weights if id(weight) not in accounted]

    @property
    def unanchored_weights(self) -> list[str]:
        """Paths of priors and deterministic weights that are not as they were when anchored.

        What they have learned since is not in the divergence. Without anchoring, all of them.
        """
        return [w.path for w in self._anchoring_data.moved(self._anchored_weights)]

    @property
    def _anchored_weights(self) -> list[keras.Variable]:
        """What must not move once the prior is anchored: weights without a distribution, priors."""
        priors = [weight for layer in self.variational_layers for weight in layer.prior_weights]
        return self.deterministic_weights + priors

    def save_own_variables(self, store):
        """Besides the weights, how many examples an anchored prior depends on."""
        super().save_own_variables(store)
        if len(self.anchoring_fingerprints):
            store["num_anchoring_examples"] = np.array(len(self.anchoring_fingerprints))

    def load_own_variables(self, store):
        """The weights; said here, because Keras comes first to the model, that a prior misses."""
        keys = store.keys()  # the store of a file has keys, but cannot be iterated over
        saved = {key: store[key] for key in keys}
        anchored = int(saved.pop("num_anchoring_examples", 0))
        super().load_own_variables(saved)
        if anchored and anchored != len(self.anchoring_fingerprints):
            raise ValueError(
                f"The weights are of a model anchored on {anchored} examples: call `anchor_prior` "
                "on the same data before loading them, or load the whole `.keras` file. "
                f"Received: a model anchored on {len(self.anchoring_fingerprints)}"
            )

    def get_config(self) -> dict:
        """Besides the network, how many fingerprints its file holds."""
        return {
            **super().get_config(),
            "num_anchoring_examples": len(self.anchoring_fingerprints),
            "num_anchored_weights": len(self._anchored_weights),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """The model, its network rebuilt, with room for the fingerprints."""
        config = dict(config)
        keys = "num_anchoring_examples", "num_anchored_weights"
        num_examples, num_weights = (config.pop(key, 0) for key in keys)
        model = super().from_config(config, custom_objects=custom_objects)
        if num_examples:
            model._anchoring_data.build(num_examples, num_weights)
        return model
