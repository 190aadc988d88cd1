"""The common part of label codes: a code length beside that of the uniform code over classes."""

from __future__ import annotations

import math

from keras_infobottleneck.results.estimate import Estimate
from keras_infobottleneck.results.result import Result

__all__ = ["CodeLength"]


class CodeLength(Result):
    """Abstract result: the length of a code of labels, in the fields `nats` and `uniform_nats`.

    `uniform_nats` is the length without a model, `N log C`.
    """

    nats: Estimate
    uniform_nats: float

    @property
    def kbit(self) -> float:
        """Total code length in kilobits (thousands of bits)."""
        return float(self.nats) / math.log(2.0) / 1000.0

    @property
    def uniform_kbit(self) -> float:
        """Length of the uniform code, `N log C`, in kilobits."""
        return self.uniform_nats / math.log(2.0) / 1000.0

    @property
    def ratio(self) -> float:
        """Code length over that of the uniform code; below 1, something was learned."""
        return float(self.nats) / self.uniform_nats

    def numbers(self) -> dict[str, float]:
        """Both code lengths in nats and kilobits, the standard error, and their ratio."""
        more = {"kbit": self.kbit, "uniform_kbit": self.uniform_kbit, "ratio": self.ratio}
        return {**super().numbers(), "standard_error": self.nats.standard_error, **more}
