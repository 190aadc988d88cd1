"""Write ``benchmarks/README.md``: every table of costs and comparisons, from the results kept.

The numbers are read from the files in ``docs/results``; a table whose file is not there is left
out. The site's page of benchmarks is the same text. From the root of the tree:

    python tools/write_benchmark_tables.py
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tools")]

from benchmark_tables import costs, labels, methods, networks, scale  # noqa: E402

TARGET = ROOT / "benchmarks" / "README.md"
HEAD = """# Benchmarks

What things cost, and how methods do beside others. Written by `python
tools/write_benchmark_tables.py` from the files in `docs/results`. Times are of one thread unless a
table says otherwise, and ratios are of one run. [Measurements](../docs/measurements.md) has what
was tried, and what brought no gain; [stated errors](../docs/stated_errors.md) says whether errors
are as large as estimators state.
"""
SECTIONS = (
    costs.importing,
    costs.noise_on_weights,
    costs.curvature,
    costs.curvature_of_sequences,
    costs.curvature_limits,
    costs.large_vocabulary,
    costs.recurrent_layers,
    scale.growth_by_size,
    scale.growth_by_calls,
    scale.endurance,
    scale.device,
    costs.streams,
    costs.precision,
    methods.hidden_states,
    methods.complexity_of_weights,
    methods.compressed_files,
    methods.boltzmann,
    labels.wrong_labels,
    labels.training_through_wrong_labels,
    labels.influence,
    labels.costs_of_examples,
    methods.forgetting,
    methods.learning_coefficients,
    networks.networks_of_others,
)


def document() -> str:
    """The whole page."""
    return "\n".join([HEAD, *(text for section in SECTIONS if (text := section()))])


if __name__ == "__main__":
    TARGET.write_text(document(), "utf-8")
    print(f"{TARGET.relative_to(ROOT)}: {len(SECTIONS)} sections")
