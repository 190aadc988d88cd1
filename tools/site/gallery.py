"""Every plot of `kib.plots`, drawn when the site is built: the code that is shown is what runs."""

import inspect
import io

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np

import keras_infobottleneck as kib

HEAD = """# Gallery

Every function of [`kib.plots`](reference/plots.md), with the code that draws the
figure. Each takes plain arrays and `ax=`, and returns the axes. The figures are drawn when these
pages are built.

```python
import matplotlib.pyplot as plt
import numpy as np

import keras_infobottleneck as kib
```
"""


def plot_information_by_layer(ax):
    """Nats by layer, with a standard error and the null of the same estimator."""
    nats = {"hidden": 812.0, "narrow": 240.0, "logits": 95.0}
    kib.plots.plot_information_by_layer(nats, errors={"hidden": 30.0}, null={"narrow": 25.0}, ax=ax)


def plot_information_curve(ax):
    """Nats and expected loss for every price, with the price 1/N marked."""
    beta = np.geomspace(1e-5, 1e-1, 25)
    nats = 0.5 * 300 * np.log1p(1e-3 / beta)
    loss = 0.05 + 2.2 * beta / (beta + 1e-2)
    kib.plots.plot_information_curve(beta, nats, expected_loss=loss, marked=1e-3, ax=ax)


def plot_information_map(ax):
    """Nats by place, as `layer.information(image)` gives them, with the outline of the image."""
    rows, columns = np.mgrid[:8, :8]
    image = np.exp(-((rows - 3.5) ** 2 + (columns - 3.5) ** 2) / 6)
    kib.plots.plot_information_map(3 * image**2, image=image, ax=ax)


def plot_phase_diagram(ax):
    """Training accuracy on random labels by number of examples and price."""
    sizes, prices = np.geomspace(100, 10_000, 9), np.geomspace(0.01, 10, 13)
    accuracy = 0.1 + 0.9 / (1 + (prices[:, None] / 0.8) ** 6 * np.ones(len(sizes)))
    kib.plots.plot_phase_diagram(sizes, prices, accuracy, half_way=0.55, ax=ax)


def plot_code_length(ax):
    """Nats per label in each block of a prequential code, beside the cost without a model."""
    ends, nats = [59, 117, 469, 1875, 7500, 30_000, 60_000], [136, 91, 240, 410, 620, 1100, 900]
    kib.plots.plot_code_length(ends, nats, num_classes=10, ax=ax)


def plot_pruning_curve(ax):
    """The share of weights kept against the threshold, with the accuracy of the pruned network."""
    ratios = np.random.default_rng(0).lognormal(-0.5, 1.5, 5000)
    thresholds = np.array([0.1, 0.3, 1.0, 3.0, 10.0])
    scores = np.array([0.93, 0.93, 0.92, 0.80, 0.25])
    kib.plots.plot_pruning_curve(ratios, thresholds=thresholds, scores=scores, ax=ax)


def plot_resolution_relevance(ax):
    """Layers on the plane of resolution and relevance, below the curve of maximal relevance."""
    curve = kib.estimators.maximum_relevance_curve(1000)
    resolution, relevance = [0.95, 0.8, 0.6, 0.4], [0.12, 0.30, 0.38, 0.33]
    labels = ["64", "32", "16", "8"]
    null = (resolution, [0.10, 0.22, 0.27, 0.24])
    kib.plots.plot_resolution_relevance(
        resolution, relevance, labels=labels, hull=curve.hull(), null=null, ax=ax
    )


def plot_rank_frequency(ax):
    """Frequencies of states by rank, beside Zipf's law."""
    counts = np.random.default_rng(0).zipf(2.0, 300)
    kib.plots.plot_rank_frequency(counts, ax=ax)


def plot_traces(ax):
    """Running means of four chains that draw from one distribution."""
    traces = np.random.default_rng(0).gamma(0.5, size=(4, 400))
    kib.plots.plot_traces(traces, marked=0.5, ax=ax)


def plot_spectrum(ax):
    """Eigenvalues of a Fisher matrix, with the level below which a direction costs no nats."""
    eigenvalues = 5.0 * np.arange(1, 200) ** -1.6
    kib.plots.plot_spectrum(eigenvalues, level=1e-2, level_label="beta / prior_scale^2", ax=ax)


def plot_bit_planes(ax):
    """Complexity of each bit plane as a ratio to its baseline; 1 means no structure."""
    ratios = {"trained": [1.0, 1.0, 1.0, 0.99, 0.98, 0.95, 0.9, 0.8], "shuffled": [1.0] * 8}
    kib.plots.plot_bit_planes(ratios, ax=ax)


def figures() -> dict:
    """Each plot by name, with the function here that draws it."""
    return {name: globals()[name] for name in kib.plots.__all__}


def drawn(draw) -> bytes:
    """A figure, as the bytes of a PNG file."""
    figure, ax = plt.subplots(figsize=(6, 3.6), layout="constrained")
    draw(ax)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=90)
    plt.close(figure)
    return stream.getvalue()


def page() -> str:
    """The gallery as text in Markdown."""
    parts = [HEAD]
    for name, draw in figures().items():
        source = inspect.cleandoc(inspect.getsource(draw).split('"""')[2])
        code = f"figure, ax = plt.subplots(figsize=(6, 3.6))\n{source}"
        link = f"[`{name}`][keras_infobottleneck.plots.{name}]"
        parts.append(
            f"## {name}\n\n{draw.__doc__} See {link}.\n\n"
            f"![{draw.__doc__}](figures/gallery/{name}.png)\n\n```python\n{code}\n```\n"
        )
    return "\n".join(parts)
