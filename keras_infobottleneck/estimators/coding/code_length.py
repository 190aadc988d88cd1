"""What codes of labels have in common: a length, beside that of a code that knows nothing."""

from __future__ import annotations

import math

from keras_infobottleneck.results.estimate import Estimate
from keras_infobottleneck.results.result import Result

__all__ = ["CodeLength"]


class CodeLength(Result):
    """Abstract: the length of a code of labels, with the field `nats` and the field `uniform_nats`.

    The latter is the length without a model, `N log C`.
    """

    nats: Estimate
    uniform_nats: float

    @property
    def kbit(self) -> float:
        """All of it in thousands of bits."""
        return float(self.nats) / math.log(2.0) / 1000.0

    @property
    def uniform_kbit(self) -> float:
        """`N log C` in thousands of bits."""
        return self.uniform_nats / math.log(2.0) / 1000.0

    @property
    def ratio(self) -> float:
        """Length beside that of a code without a model: below 1 something was learned."""
        return float(self.nats) / self.uniform_nats

    def numbers(self) -> dict[str, float]:
        """The length in nats, its error, the code without a model; kbit, and the ratio."""
        more = {"kbit": self.kbit, "uniform_kbit": self.uniform_kbit, "ratio": self.ratio}
        return {**super().numbers(), "standard_error": self.nats.standard_error, **more}
