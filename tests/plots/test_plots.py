import matplotlib
import numpy as np
import pytest

matplotlib.use("Agg")

import matplotlib.pyplot as plt

from keras_infobottleneck import plots


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def test_map_shows_the_sum_over_channels_and_the_outline_in_its_coordinates():
    nats = np.arange(24.0).reshape(2, 3, 4)
    image = np.zeros((8, 12, 1))
    image[2:6, 4:8] = 1
    ax = plots.plot_information_map(nats, image=image, label="nats per place")
    np.testing.assert_array_equal(ax.images[0].get_array(), nats.sum(-1))
    outline = np.concatenate([path.vertices for path in ax.collections[0].get_paths()])
    assert outline.min(0) == pytest.approx([1.0, 0.5])  # a quarter of the image's pixels
    assert outline.max(0) == pytest.approx([2.0, 1.5])
    assert ax.figure.axes[1].get_ylabel() == "nats per place"


def test_phases_lie_around_their_points_in_log_and_the_critical_price_is_marked():
    values = np.array([[1.0, 0.9], [0.1, np.nan]])
    ax = plots.plot_phase_diagram([10, 1000], [0.1, 10], values, limits=(0, 1))
    mesh = ax.collections[0]
    np.testing.assert_array_equal(np.ma.filled(mesh.get_array(), np.nan), values)
    np.testing.assert_allclose(mesh.get_coordinates()[0, :, 0], [1, 100, 10_000])
    np.testing.assert_allclose(mesh.get_coordinates()[:, 0, 1], [0.01, 1, 100])
    assert mesh.get_clim() == (0, 1)
    assert list(ax.lines[0].get_ydata()) == [1.0, 1.0]
    assert ax.get_xscale() == ax.get_yscale() == "log"


def test_half_way_line_is_where_the_value_is():
    values = np.array([[1.0, 1.0], [0.5, 0.5], [0.0, 0.0]])
    ax = plots.plot_phase_diagram([10, 100], [0.1, 1, 10], values, half_way=0.5)
    line = np.concatenate([path.vertices for path in ax.collections[1].get_paths()])
    np.testing.assert_allclose(line[:, 1], 1.0)


def test_spectrum_is_drawn_by_rank_and_says_how_many_are_not_positive():
    ax = plots.plot_spectrum([1.0, 100.0, 0.0, 10.0, -1.0], level=5.0, level_label="free below")
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[1, 100], [2, 10], [3, 1]])
    assert list(ax.lines[1].get_ydata()) == [5.0, 5.0]
    assert "2 more" in ax.get_xlabel()
    assert plots.plot_spectrum([1.0], label="entries").get_ylabel() == "entries"


def test_a_long_spectrum_keeps_both_ends():
    ax = plots.plot_spectrum(np.arange(1.0, 100_001))
    drawn = ax.lines[0].get_xydata()
    assert len(drawn) <= 1000
    np.testing.assert_array_equal(drawn[[0, -1]], [[1, 100_000], [100_000, 1]])


def test_pruning_keeps_what_is_at_least_the_threshold():
    ratios = {"a": np.array([[0.05, 5.0]]), "b": np.array([20.0, 50.0])}
    ax = plots.plot_pruning_curve(ratios, thresholds=[0.1, 10], scores=[0.9, 0.5])
    x, kept = ax.lines[0].get_data()
    np.testing.assert_allclose(np.interp([0.01, 1, 10, 30, 99], x, kept), [1, 0.75, 0.5, 0.25, 0])
    scores = ax.figure.axes[1].lines[0].get_xydata()
    np.testing.assert_array_equal(scores, [[0.1, 0.9], [10, 0.5]])


def test_bars_stand_in_order_with_errors_null_and_words_for_infinity():
    nats = {"first": 3.0, "second": np.inf}
    options = {"label": "nats an example", "name": "block"}
    ax = plots.plot_information_by_layer(
        nats, errors={"first": 0.5}, null={"first": 0.1}, **options
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("nats an example", "block")
    assert [bar.get_width() for bar in ax.patches] == [3.0, 0.0]
    assert [text.get_text() for text in ax.get_yticklabels()] == ["first", "second"]
    assert ax.yaxis_inverted()
    assert [text.get_text() for text in ax.texts] == [" infinite"]
    cross = next(line for line in ax.lines if line.get_label() == "null")
    np.testing.assert_array_equal(cross.get_xydata(), [[0.1, 0]])


def test_curve_has_nats_loss_and_the_marked_price():
    ax = plots.plot_information_curve([0.1, 1.0], [20.0, 3.0], [0.2, 0.5], marked=0.5)
    np.testing.assert_array_equal(ax.lines[0].get_xydata(), [[0.1, 20], [1, 3]])
    assert list(ax.lines[1].get_xdata()) == [0.5, 0.5]
    loss = ax.figure.axes[1].lines[0]
    np.testing.assert_array_equal(loss.get_xydata(), [[0.1, 0.2], [1, 0.5]])


def test_everything_draws_into_given_axes():
    calls = [
        lambda ax: plots.plot_information_map(np.ones((2, 2)), ax=ax),
        lambda ax: plots.plot_phase_diagram([1, 2], [1, 2], np.ones((2, 2)), ax=ax),
        lambda ax: plots.plot_spectrum([1.0], ax=ax),
        lambda ax: plots.plot_pruning_curve([1.0], ax=ax),
        lambda ax: plots.plot_information_by_layer({"a": 1.0}, ax=ax),
        lambda ax: plots.plot_information_curve([1.0], [1.0], ax=ax),
    ]
    for call in calls:
        ax = plt.subplots()[1]
        assert call(ax) is ax


@pytest.mark.parametrize(
    "call",
    [
        lambda: plots.plot_information_map(np.ones(3)),
        lambda: plots.plot_information_map([[np.nan, 1.0]]),
        lambda: plots.plot_information_map(np.ones((2, 2)), image=np.ones((2, 2, 2))),
        lambda: plots.plot_phase_diagram([2, 1], [1, 2], np.ones((2, 2))),
        lambda: plots.plot_phase_diagram([1, 2], [0, 2], np.ones((2, 2))),
        lambda: plots.plot_phase_diagram([1, 2], [1, 2], np.ones((2, 3))),
        lambda: plots.plot_spectrum([]),
        lambda: plots.plot_spectrum([0.0]),
        lambda: plots.plot_spectrum([[1.0]]),
        lambda: plots.plot_spectrum([1.0], level=0.0),
        lambda: plots.plot_pruning_curve([]),
        lambda: plots.plot_pruning_curve({}),
        lambda: plots.plot_pruning_curve([-1.0]),
        lambda: plots.plot_pruning_curve([np.nan]),
        lambda: plots.plot_pruning_curve([1.0], thresholds=[1.0]),
        lambda: plots.plot_pruning_curve([1.0], thresholds=[2.0, 1.0], scores=[1.0, 1.0]),
        lambda: plots.plot_information_by_layer({}),
        lambda: plots.plot_information_by_layer({"a": np.nan}),
        lambda: plots.plot_information_by_layer({"a": 1.0}, null={"b": 1.0}),
        lambda: plots.plot_information_curve([1.0], [1.0, 2.0]),
        lambda: plots.plot_information_curve([1.0, 0.5], [1.0, 2.0]),
        lambda: plots.plot_information_curve([1.0], [1.0], [1.0, 2.0]),
    ],
)
def test_bad_input_gives_one_clear_sentence(call):
    with pytest.raises(ValueError, match="Received: ") as refused:
        call()
    assert "\n" not in str(refused.value)
