import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

from keras_infobottleneck.estimators import maximum_relevance_curve
from keras_infobottleneck.plots import plot_rank_frequency, plot_resolution_relevance


def test_plane_holds_the_points_the_hull_and_the_null():
    curve = maximum_relevance_curve(100)
    ax = plot_resolution_relevance(
        [0.4, 0.8],
        [0.3, 0.2],
        labels=["2", "1"],
        hull=curve.hull(),
        null=([0.5], [0.1]),
        name="net",
    )
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert legend == ["maximal relevance", "null", "net"]
    np.testing.assert_array_equal(ax.lines[-1].get_xydata(), [[0.4, 0.3], [0.8, 0.2]])
    assert [text.get_text() for text in ax.texts] == ["2", "1"]


@pytest.mark.filterwarnings("error")
def test_points_alone_have_no_legend():
    assert plot_resolution_relevance([0.4], [0.3], labels=["2"]).get_legend() is None


def test_counts_are_drawn_by_rank_with_a_line_of_the_given_slope():
    ax = plot_rank_frequency([1, 100, 10], mu=0.5, name="layer")
    points, line = ax.lines
    np.testing.assert_array_equal(points.get_xydata(), [[1, 100], [2, 10], [3, 1]])
    x, y = np.log(line.get_xydata()).T
    assert (y[1] - y[0]) / (x[1] - x[0]) == pytest.approx(-2)


@pytest.mark.parametrize(
    "call",
    [
        lambda: plot_resolution_relevance([0.1], [0.1, 0.2]),
        lambda: plot_resolution_relevance([0.1], [0.1], null=[[0.1, 0.1, 0.2]]),
        lambda: plot_rank_frequency([]),
        lambda: plot_rank_frequency([3, 0]),
        lambda: plot_rank_frequency([3, 1], mu=0),
    ],
)
def test_bad_input_gives_one_clear_sentence(call):
    with pytest.raises(ValueError, match="Received: "):
        call()


def test_a_curve_where_its_hull_is_wanted_is_refused():
    with pytest.raises(TypeError, match=r"`hull` must hold numbers. Received: "):
        plot_resolution_relevance([0.1], [0.1], hull=maximum_relevance_curve(100))
