import subprocess
import sys

import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from keras_infobottleneck.plots import plot_bit_planes


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_draws_every_series_and_the_null_with_the_top_plane_at_the_left():
    ratios = {"trained": np.linspace(1, 0.6, 8), "shuffled": np.ones(8)}
    ax = plot_bit_planes(ratios, std={"trained": np.full(8, 0.01)})
    drawn = [container.lines[0] for container in ax.containers]
    for line, values in zip(drawn, ratios.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), range(8))
        np.testing.assert_array_equal(line.get_ydata(), values)
    assert ax.xaxis_inverted()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == list(ratios)
    assert any(set(line.get_ydata()) == {1.0} for line in ax.lines)


def test_draws_one_vector_on_given_axes():
    _, given = plt.subplots()
    ax = plot_bit_planes(np.ones(4), std=np.ones(4), ax=given)
    assert ax is given
    assert ax.get_legend() is None


@pytest.mark.parametrize(
    ("ratios", "std"),
    [
        (np.ones((2, 3)), None),
        ({"a": np.ones(3), "b": np.ones(4)}, None),
        ({}, None),
        (np.ones(3), np.ones(4)),
        ({"a": np.ones(3)}, {"b": np.ones(3)}),
    ],
)
def test_refuses_ratios_that_do_not_fit(ratios, std):
    with pytest.raises(ValueError, match="Received"):
        plot_bit_planes(ratios, std=std)


@pytest.mark.slow
def test_importing_the_package_needs_no_matplotlib():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "import keras_infobottleneck as kib\n"
        "kib.plots.plot_bit_planes, kib.callbacks.Measure"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
