"""A number with its standard error."""

from __future__ import annotations

import math

from keras_infobottleneck.arguments import check_number, check_positive, check_seed

__all__ = ["Estimate"]


class Estimate(float):
    """A float with a `standard_error`; an error of 0.0 means that it is exact for the given data.

    Arithmetic returns plain floats: without knowing how two estimates depend on each other,
    an error of their sum could only be guessed.

    Args:
        value: The estimate.
        standard_error: Its standard deviation over the estimator's own randomness.
        seed: Seed that gives it again, if no other result carries it.

    Example:
        ```python
        import keras_infobottleneck as kib

        one = kib.estimators.Estimate(10.0, standard_error=0.5)
        other = kib.estimators.Estimate(11.0, standard_error=0.5)
        print(one + 1.0, one.agrees_with(other))
        ```

        ```text
        11.0 True
        ```
    """

    standard_error: float
    seed: int | None = None

    def __new__(
        cls, value: float, standard_error: float = 0.0, seed: int | None = None
    ) -> Estimate:
        """Makes the number; floats are immutable, so that `__init__` is too late."""
        number = super().__new__(cls, check_number("value", value, finite=False, nan=True))
        number.standard_error = check_number(
            "standard_error", standard_error, 0.0, finite=False, nan=True
        )
        number.seed = check_seed("seed", seed)
        return number

    def __getnewargs__(self) -> tuple[float, float, int | None]:  # type: ignore[override]  # three
        """The arguments from which pickle and copy make the number again."""
        return float(self), self.standard_error, self.seed

    def __repr__(self) -> str:
        if self.standard_error == 0.0:
            return f"{float(self):.6g}"
        return f"{float(self):.6g} ± {self.standard_error:.2g}"

    def agrees_with(self, value: float, standard_errors: float = 4.0) -> bool:
        """Whether `value` lies within this number of standard errors."""
        value = check_number("value", value, finite=False, nan=True)
        check_positive("standard_errors", standard_errors)
        return math.fabs(float(self) - value) <= standard_errors * self.standard_error
