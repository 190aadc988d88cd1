"""A certificate: a bound on the error on new data that holds with a stated probability."""

from __future__ import annotations

from dataclasses import dataclass

from keras_infobottleneck.results.result import Result

__all__ = ["Certificate"]


@dataclass(frozen=True)
class Certificate(Result):
    """Guaranteed bounds on the error of a network on new data, as returned by `certify`.

    Errors are shares of examples; cross-entropies are in nats per example.

    Attributes:
        error_bound: Bound on the error of the randomised network on new data.
        cross_entropy_bound: Bound on its clamped cross-entropy on new data.
        randomized_error: Its observed error, over examples and draws.
        randomized_cross_entropy: Its observed clamped cross-entropy.
        mean_error: Observed error with posterior means, which no bound covers.
        ensemble_error: Observed error of the probability averaged over draws, which no bound
            covers.
        kl: Divergence of the posterior from the prior, total nats.
        num_examples: Number N of examples in the bounds, counted from the data.
        delta: Probability with which the PAC-Bayes bound may fail.
        delta_monte_carlo: Probability with which the Monte Carlo bound may fail.
        num_samples: Number of draws for every example.
        num_trials: Number of independent trials of the Monte Carlo estimate.
        method: How the trials were drawn.
        min_probability: Floor of the probability in the clamped cross-entropy.
        num_anchoring_examples: Number of examples on which the prior depends.
        prior_mean_error: Observed error of the network with the means of the anchored prior, which
            does not depend on the examples. None without an anchored prior, like the next three.
        test_set_bound: Bound on the error of that network on new data, by the exact binomial tail,
            from the same examples and with the same confidence.
        excess_error_bound: Bound on the error of the randomised network: `excess_loss_bound`
            relative to that network, plus the test-set bound of that network.
        recursive_error_bound: Bound on the same error by `recursive_bound`: half of a bound on the
            error of networks drawn from the prior, plus a bound on the rest. Also None if draws are
            shared.
        seed: Seed of the draws.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib

        keras.utils.set_random_seed(0)
        x = np.random.default_rng(0).normal(size=(300, 4)).astype("float32")
        y = (x[:, 0] > 0).astype(int)
        prior = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)])
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        prior.compile(keras.optimizers.Adam(0.1), loss)
        prior.fit(x[:100], y[:100], epochs=5, verbose=0)
        model = kib.make_variational(prior, num_examples=200, variational_bias=True, verbose=0)
        model.anchor_prior((x[:100], y[:100]))  # all that the prior has seen
        model.compile("adam", kib.models.BoundedCrossentropy(from_logits=True))
        certificate = kib.estimators.certify(model, (x[100:], y[100:]), seed=0)
        observed = certificate.randomized_error
        print(f"{certificate.confidence:.1%}", certificate.error_bound > observed)
        ```

        ```text
        96.5% True
        ```
    """

    error_bound: float
    cross_entropy_bound: float
    randomized_error: float
    randomized_cross_entropy: float
    mean_error: float
    ensemble_error: float
    kl: float
    num_examples: int
    delta: float
    delta_monte_carlo: float
    num_samples: int
    num_trials: int
    method: str
    min_probability: float
    num_anchoring_examples: int
    prior_mean_error: float | None = None
    test_set_bound: float | None = None
    excess_error_bound: float | None = None
    recursive_error_bound: float | None = None
    seed: int | None = None

    @property
    def confidence(self) -> float:
        """Smallest probability with which each single bound holds.

        It is ``1 - delta - delta_monte_carlo``, 96.5 % by default; ``delta=0.04`` makes it 95 %.
        """
        return 1.0 - self.delta - self.delta_monte_carlo

    @property
    def kl_per_example(self) -> float:
        """Nats in the weights per example of the certificate."""
        return self.kl / self.num_examples

    @property
    def comparison(self) -> str:
        """Says which is tighter, certificate or test-set bound, and when the other is useful."""
        if self.test_set_bound is None:
            return (
                "no test-set bound for comparison, since no example was held out: that all "
                "examples may be used for training is the advantage of such a certificate"
            )
        beside = (
            f"the test-set bound {self.test_set_bound:.3%} from the same examples for the "
            f"network with the prior's means (error {self.prior_mean_error:.3%})"
        )
        if self.error_bound < self.test_set_bound:
            return f"tighter than {beside}: what the posterior learned is worth its nats"
        return (
            f"not tighter than {beside}: use that network, unless weights are to be drawn, or "
            "these examples are to be used for training, which no test-set bound allows"
        )

    def numbers(self) -> dict[str, float]:
        """The bound on the error, then all other fields and properties that are numbers."""
        return {**super().numbers(), **self._properties()}

    def to_dict(self) -> dict:
        """All fields and properties by name."""
        return {**super().to_dict(), **self._properties()}

    def _properties(self) -> dict[str, float]:
        return {"confidence": self.confidence, "kl_per_example": self.kl_per_example}

    def __str__(self) -> str:
        """The line of `repr`, one statement per line, and the parts of the failure probability."""
        failing = (
            f"it fails with probability delta = {self.delta:.2g} for unlucky examples and "
            f"delta_monte_carlo = {self.delta_monte_carlo:.2g} for unlucky draws, at most"
        )
        first, *others = repr(self).split("; ")
        return "\n  ".join([first, failing, *others])

    def __repr__(self) -> str:
        others = (("by the excess loss", self.excess_error_bound),)
        others += (("recursively", self.recursive_error_bound),)
        more = "".join(f", {how} {bound:.3%}" for how, bound in others if bound is not None)
        each = "each with" if more else "with"
        return (
            f"Certificate: error on new data at most {self.error_bound:.3%}{more}, {each} "
            f"probability {self.confidence:.1%} (randomised network: observed "
            f"{self.randomized_error:.3%} on {self.num_examples:,} examples, mean weights "
            f"{self.mean_error:.3%}, ensemble "
            f"{self.ensemble_error:.3%}); cross-entropy at most {self.cross_entropy_bound:.4f} "
            f"nats; {self.kl:,.1f} nats in the weights, {self.kl_per_example:.2e} per example; "
            f"{self.num_trials:,} independent trials: {self.method}; {self.comparison}"
        )
