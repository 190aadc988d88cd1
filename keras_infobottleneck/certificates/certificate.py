"""A certificate: a bound on the error on new data that holds with a stated probability."""

from __future__ import annotations

from dataclasses import dataclass

from keras_infobottleneck.results.result import Result

__all__ = ["Certificate"]


@dataclass(frozen=True)
class Certificate(Result):
    """Guaranteed bounds on the error of a network on new data, as `certify` found them.

    Errors are shares of examples, cross-entropies nats per example.

    Attributes:
        error_bound: bound on the error of the randomised network on new data.
        cross_entropy_bound: bound on its clamped cross-entropy on new data.
        randomized_error: its error as observed, over examples and draws.
        randomized_cross_entropy: its clamped cross-entropy as observed.
        mean_error: observed error with posterior means, which no bound covers.
        ensemble_error: observed error of the probability averaged over draws, which no bound
            covers.
        kl: divergence of the posterior from the prior, total nats.
        num_examples: N of the bounds, counted from the data.
        delta: probability with which the PAC-Bayes bound may fail.
        delta_monte_carlo: probability with which the Monte Carlo may mislead.
        num_samples: draws for every example.
        num_trials: independent trials of the Monte Carlo.
        method: how they were drawn.
        min_probability: floor of the probability in the clamped cross-entropy.
        num_anchoring_examples: examples on which the prior depends.
        prior_mean_error: observed error of the network with the means of the anchored prior, which
            has not seen the examples. None without an anchored prior, as the next three.
        test_set_bound: bound on the error of that network on new data, by the exact binomial tail,
            from the same examples and with the same confidence.
        excess_error_bound: bound on the error of the randomised network by what it errs more than
            that network: `excess_loss_bound`, and the test-set bound of the other.
        recursive_error_bound: bound on the same error by `recursive_bound`: a bound on networks
            drawn from the prior, of whose error one half counts. None too where draws are shared.

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

    @property
    def confidence(self) -> float:
        """Probability with which each bound, taken by itself, holds at least.

        It is ``1 - delta - delta_monte_carlo``, 96.5 % by default; ``delta=0.04`` makes it 95 %.
        """
        return 1.0 - self.delta - self.delta_monte_carlo

    @property
    def kl_per_example(self) -> float:
        """Nats in the weights per example of the certificate."""
        return self.kl / self.num_examples

    @property
    def comparison(self) -> str:
        """Says which is tighter, certificate or test-set bound, and what the other is for."""
        if self.test_set_bound is None:
            return (
                "no test-set bound stands beside it, since no example was held out: that all of "
                "them may train is what such a certificate is for"
            )
        beside = (
            f"the test-set bound {self.test_set_bound:.3%} that the same examples give the "
            f"network with the prior's means (error {self.prior_mean_error:.3%})"
        )
        if self.error_bound < self.test_set_bound:
            return (
                f"tighter than {beside}: what the examples taught the posterior is worth its nats"
            )
        return (
            f"not tighter than {beside}: use that network, unless weights are to be drawn, or "
            "these examples are to train, which no test-set bound allows"
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
        """The line of `repr`, a statement on each line, and what the probability is made of."""
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
