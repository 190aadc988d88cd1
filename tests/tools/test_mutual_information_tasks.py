"""The forty tasks: their truths by other routes, and that their maps change no information."""

import pathlib
import runpy
import types

import numpy as np
import pytest
from scipy import integrate, stats

ROOT = pathlib.Path(__file__).parents[2]
tasks = types.SimpleNamespace(**runpy.run_path(str(ROOT / "tools" / "mutual_information_tasks.py")))
BY_NAME = {task.name: task for task in tasks.TASKS}


def test_there_are_forty_of_their_own_names_with_the_published_truths():
    assert len(BY_NAME) == len(tasks.TASKS) == 40
    published = {  # of `benchmark-mi` 0.1.3
        "Gaussian 1 x 1": 0.413339,
        "Uniform with noise 0.1": 1.709438,
        "Uniform with noise 0.75": 1.0 / 3.0,
        "Student-t 1 x 1, 1 degrees": 0.224171,
        "Spiral of Gaussian 3 x 3, two pairs": 1.021651,
    }
    for name, truth in published.items():
        assert BY_NAME[name].truth == pytest.approx(truth, abs=1e-6)


@pytest.mark.parametrize("name", ["Gaussian 3 x 3, dense", "Student-t 2 x 2, 2 degrees"])
def test_the_truth_is_the_mean_log_density_ratio(name):
    task = BY_NAME[name]
    z, x = task.draw(np.random.default_rng(0), 40_000)
    size = z.shape[1]

    def log_density(values, width):
        if name.startswith("Gaussian"):
            covariance = 0.5 * np.eye(width) + 0.5
            return stats.multivariate_normal(np.zeros(width), covariance).logpdf(values)
        return stats.multivariate_t(np.zeros(width), np.eye(width), df=2).logpdf(values)

    both = log_density(np.concatenate([z, x], 1), 2 * size)
    ratio = both - log_density(z, size) - log_density(x, size)
    assert abs(ratio.mean() - task.truth) < 4.0 * ratio.std() / 200.0


@pytest.mark.parametrize("width", [0.1, 0.75])
def test_the_truth_of_uniform_noise_is_a_difference_of_entropies(width):
    def minus_log(x):
        density = (min(1.0, x + width) - max(0.0, x - width)) / (2.0 * width)
        return -density * np.log(density) if density > 0.0 else 0.0

    corners = [width, 1.0 - width]
    entropy = integrate.quad(minus_log, -width, 1.0 + width, points=corners, limit=200)[0]
    truth = entropy - np.log(2.0 * width)
    assert BY_NAME[f"Uniform with noise {width}"].truth == pytest.approx(truth, abs=1e-6)


def test_a_spiral_is_undone_and_a_bimodal_coordinate_is_monotone():
    values = np.random.default_rng(0).normal(size=(50, 4))
    turned = tasks.spiral(1, 2)(values)
    np.testing.assert_allclose(np.sum(turned**2, 1), np.sum(values**2, 1))
    back = tasks.spiral(2, 1)(turned)  # the other way round, by the same angle
    np.testing.assert_allclose(back, values, atol=1e-12)
    places = np.linspace(-3.0, 3.0, 15)
    mapped = tasks.quantile_of_two(0.3, 0.0, 5.0)(places)
    assert np.all(np.diff(mapped) > 0.0)
    share = 0.3 * stats.norm.cdf(mapped) + 0.7 * stats.norm.cdf(mapped - 5.0)
    np.testing.assert_allclose(share, stats.norm.cdf(places), atol=1e-9)
