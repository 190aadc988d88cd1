"""Part of the report, on request: the dimensions of hidden states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from keras_infobottleneck import estimators
from keras_infobottleneck.auditing.entries import Measure, Reading, Verdict, number_in_words
from keras_infobottleneck.auditing.examination import Examination
from keras_infobottleneck.auditing.findings import Findings
from keras_infobottleneck.auditing.part import LayerPart
from keras_infobottleneck.auditing.subject import HiddenLayer, Subject, reason_too_wide

__all__ = ["Geometry"]


class Geometry(LayerPart):
    """Intrinsic dimension and participation ratio of hidden states, as a part of a report.

    This part is added on request, because its numbers are not nats.

    Example:
        ```python
        import keras
        import numpy as np
        import keras_infobottleneck as kib
        from keras_infobottleneck.auditing import Geometry

        keras.utils.set_random_seed(0)
        hidden = keras.layers.Dense(20, name="hidden")
        model = keras.Sequential([keras.Input((3,)), hidden, keras.layers.Dense(2)])
        x = np.random.default_rng(0).normal(size=(400, 3)).astype("float32")
        report = kib.audit(model, x, parts=[Geometry()], include=["geometry"], likelihood="normal")
        print([f"{reading.name} {reading.value:.0f}" for reading in report.readings])
        ```

        ```text
        ['intrinsic_dimension 3', 'participation_ratio 3']
        ```
    """

    name, title, examples = "geometry", "Geometry of hidden states", 1_000
    narrower, takes_activations = "place", True
    measures = (
        Measure(
            "intrinsic_dimension",
            "intrinsic dimension",
            "dimensions",
            "consistent where the density is locally constant; low above some ten dimensions",
            "Dimension of the surface on which the states lie, at the distance of nearest "
            "neighbours: noise of that size counts as dimensions.",
        ),
        Measure(
            "participation_ratio",
            "participation ratio",
            "directions",
            "a ratio of unbiased estimates",
            "Number of directions that share the variance. A few units of large variance "
            "determine it.",
        ),
    )

    def reason_to_omit_layer(
        self, subject: Subject, layer: HiddenLayer, num_examples: int
    ) -> str | None:
        """Omitted for wide states, whose distances take long."""
        return reason_too_wide(layer)

    def measure_layer(self, exam: Examination, layer: HiddenLayer) -> Mapping[str, Any]:
        """Both numbers; either may fail if states are few or equal."""
        z = exam.activations("geometry", layer)

        def attempt(measure: Callable[[], Any]) -> Any:
            return exam.attempt("geometry", layer.name, measure)

        return {
            "intrinsic_dimension": attempt(
                lambda: estimators.intrinsic_dimension(z, seed=exam.seed)
            ),
            "participation_ratio": attempt(lambda: estimators.participation_ratio(z)),
        }

    def work(self, layer: HiddenLayer, num_examples: int) -> float:
        """Distances of all pairs."""
        return float(num_examples**2 * max(1, layer.num_units))

    def readings(self, findings: Findings) -> Iterable[Reading]:
        """Both numbers of each layer, with what to compare them with."""
        for name, found in findings.results_of_layers("intrinsic_dimension").items():
            null = f"of shuffled units: {found.shuffled:.3g}"
            copies = f"{found.num_copies:,} copies left out" if found.num_copies else ""
            beside = self.beside(findings, name, null, copies)
            number, error = found.dimension, found.standard_error
            yield self.reading("intrinsic_dimension", name, number, error, beside)
        for name, found in findings.results_of_layers("participation_ratio").items():
            beside = f"without correction: {found.biased:.3g}; {found.num_units:,} units"
            number, error = found.corrected, found.standard_error
            yield self.reading("participation_ratio", name, number, error, beside)

    def verdict(self, findings: Findings) -> Verdict | None:
        """The layer whose states fill the fewest dimensions."""
        unsure = "of points that are independent; low above some ten dimensions"
        found: dict[str, tuple[float, float, str]] = {
            name: (each.dimension, each.standard_error, f"{each.shuffled:.3g} with units shuffled")
            for name, each in findings.results_of_layers("intrinsic_dimension").items()
        }
        if not found:
            unsure = "of points that are independent, and of linear dimensions"
        found = found or {
            name: (each.corrected, each.standard_error, f"of {each.num_units:,} units")
            for name, each in findings.results_of_layers("participation_ratio").items()
        }
        if not found:
            return None
        name = min(found, key=lambda each: found[each][0])
        dimension, error, beside = found[name]
        return Verdict(
            f"The states of layer {name} fill the fewest dimensions: a bottleneck belongs there, "
            "with hardly more units than that.",
            f"{number_in_words(dimension, error)} dimensions, {beside}",
            unsure,
        )
