"""What the trials of a certificate showed, bounded for having been drawn, and beside references."""

from __future__ import annotations

from collections.abc import Mapping

from keras_infobottleneck.certificates.bounds import monte_carlo_bound
from keras_infobottleneck.certificates.excess_bounds import excess_loss_bound, recursive_bound
from keras_infobottleneck.certificates.fixed_network_bounds import test_set_bound

__all__ = ["Trials", "by_reference"]


class Trials:
    """Means over examples and draws, and their bounds at a given confidence.

    A trial is a group of examples that share a draw. Groups that are not full count the missing
    examples as 0, and the bounds make up for it.

    Args:
        sums: of `gibbs_errors`, by name.
        num_examples: how many there were.
        num_samples: draws for each of them.
        group_size: examples that share a draw.
        delta: probability with which the Monte Carlo may mislead.
    """

    def __init__(
        self,
        sums: Mapping[str, float],
        *,
        num_examples: int,
        num_samples: int,
        group_size: int,
        delta: float,
    ):
        self.sums, self.num_examples, self.group_size = sums, num_examples, group_size
        self.num_trials = int(sums["groups"]) * num_samples
        self._num_samples, self.delta = num_samples, delta
        self._filled = sums["groups"] * group_size / num_examples

    def mean(self, name: str) -> float:
        """Over all examples and draws."""
        return self.sums[name] / (self._num_samples * self.num_examples)

    def upper(self, name: str, num_bounds: int = 1) -> float:
        """Bound on its expectation over the draws, one of several that hold together."""
        mean = self.mean(name) / self._filled
        bound = monte_carlo_bound(mean, self.num_trials, self.delta / num_bounds)
        return min(self._filled * bound, 1.0)

    def lower(self, name: str, num_bounds: int = 1) -> float:
        """The same from below."""
        rest = 1.0 - self.mean(name) / self._filled
        bound = 1.0 - monte_carlo_bound(rest, self.num_trials, self.delta / num_bounds)
        return self._filled * bound

    def errors_of(self, reference: str) -> int:
        """Of a network that is not drawn over and over."""
        return round(self.sums[f"errors_of_{reference}"])


def by_reference(trials: Trials, kl: float, delta: float) -> dict[str, float | None]:
    """Fields of a certificate that rest on the anchored prior, which has not seen the examples.

    Args:
        trials: of the certificate, the references among them.
        kl: divergence of the posterior from the anchored prior.
        delta: of the certificate, besides that of the Monte Carlo. Each bound has all of it.
    """
    n = trials.num_examples
    errors = trials.errors_of("prior_mean")
    excess = excess_loss_bound(
        trials.upper("worse_than_prior_mean", 2),
        trials.lower("better_than_prior_mean", 2),
        kl,
        n,
        delta / 2.0,
    )
    fields: dict[str, float | None] = {
        "prior_mean_error": errors / n,
        "test_set_bound": test_set_bound(errors, n, delta + trials.delta),
        "excess_error_bound": min(test_set_bound(errors, n, delta / 2.0) + excess, 1.0),
    }
    if trials.group_size == 1:  # the draws of the prior are independent, as the bound asks
        fields["recursive_error_bound"] = recursive_bound(
            test_set_bound(trials.errors_of("prior_draw"), n, delta / 2.0),
            trials.upper("errors", 3),
            trials.upper("worse_than_prior_draw", 3),
            trials.lower("better_than_prior_draw", 3),
            kl,
            n,
            delta / 2.0,
        )
    return fields
