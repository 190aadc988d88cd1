"""Pairs of variables whose mutual information is known: the forty tasks of Czyż et al. (2023).

Gaussian pairs, dense and sparse, Student-t, uniform noise, and maps of each variable by itself that
change no information: monotone ones, a Swiss roll, a spiral. Written from the paper (arXiv
2306.11078, section 4 and appendix); the truths agree with those of the authors' package
`benchmark-mi` 0.1.3 to six digits. Tools and tests import this file.
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from scipy import optimize, special, stats

__all__ = ["TASKS", "Task"]

RHO = 0.75  # of the pairs of single variables
DENSE = 0.5  # correlation of all pairs of coordinates
SPARSE = 0.8  # correlation of the first coordinates, and of the second; all else is independent
SPEED = 1.0  # of the spiral


@dataclasses.dataclass(frozen=True)
class Task:
    """A distribution of pairs, and its mutual information in nats.

    Attributes:
        name: of the distribution.
        draw: from a NumPy generator and a number of examples to ``(z, x)``.
        truth: in nats.
    """

    name: str
    draw: Callable
    truth: float

    def mapped(self, name: str, of_z: Callable, of_x: Callable | None = None) -> "Task":
        """Both variables through invertible maps: the information stays."""

        def draw(rng, number):
            z, x = self.draw(rng, number)
            return of_z(z), (of_z if of_x is None else of_x)(x)

        return Task(f"{name} of {self.name}", draw, self.truth)


def gaussian(name, correlation) -> Task:
    """Two halves of a Gaussian vector: ``1/2 log det S_zz det S_xx / det S``."""
    half = len(correlation) // 2
    root = np.linalg.cholesky(correlation)

    def draw(rng, number):
        both = rng.normal(size=(number, 2 * half)) @ root.T
        return both[:, :half], both[:, half:]

    parts = (correlation[:half, :half], correlation[half:, half:], correlation)
    of_z, of_x, of_both = (np.linalg.slogdet(part)[1] for part in parts)
    return Task(name, draw, float(0.5 * (of_z + of_x - of_both)))


def dense(size) -> Task:
    """Every coordinate correlated with every other."""
    both = np.full((2 * size, 2 * size), DENSE) + (1.0 - DENSE) * np.eye(2 * size)
    return gaussian(f"Gaussian {size} x {size}, dense", both)


def sparse(size) -> Task:
    """Two pairs of coordinates are correlated."""
    both = np.eye(2 * size)
    for pair in range(2):
        both[pair, size + pair] = both[size + pair, pair] = SPARSE
    return gaussian(f"Gaussian {size} x {size}, two pairs", both)


def student(size, freedom) -> Task:
    """Uncorrelated, and dependent through one common scale: a difference of entropies."""

    def draw(rng, number):
        both = rng.normal(size=(number, 2 * size))
        both /= np.sqrt(rng.chisquare(freedom, size=(number, 1)) / freedom)
        return both[:, :size], both[:, size:]

    def entropy(width):
        """Of a standard multivariate t."""
        upper, lower = 0.5 * (freedom + width), 0.5 * freedom
        constant = 0.5 * width * np.log(freedom * np.pi)
        constant += special.gammaln(lower) - special.gammaln(upper)
        return constant + upper * (special.digamma(upper) - special.digamma(lower))

    truth = float(2.0 * entropy(size) - entropy(2 * size))
    return Task(f"Student-t {size} x {size}, {freedom} degrees", draw, truth)


def uniform_noise(width) -> Task:
    """``x = z + n``, both uniform, ``n`` in ``[-width, width]``."""

    def draw(rng, number):
        z = rng.uniform(size=(number, 1))
        return z, z + rng.uniform(-width, width, size=(number, 1))

    truth = 0.25 / width if width > 0.5 else width - np.log(2.0 * width)
    return Task(f"Uniform with noise {width}", draw, float(truth))


def half_cube(values):
    """The signed power 3/2."""
    return values * np.sqrt(np.abs(values))


def wiggly_first(values):
    """Monotone and bumpy."""
    bumps = 0.4 * np.sin(values) + 0.2 * np.sin(1.7 * values + 1.0)
    return values + bumps + 0.03 * np.sin(3.3 * values - 2.5)


def wiggly_second(values):
    """Another one."""
    bumps = -0.4 * np.sin(0.4 * values) + 0.17 * np.sin(1.3 * values + 3.5)
    return values + bumps + 0.02 * np.sin(4.3 * values - 2.5)


def quantile_of_two(share, first, second):
    """Maps a standard normal to a mixture of two normals of unit variance."""

    def of_value(value):
        level = stats.norm.cdf(value)

        def above(place):
            both = share * stats.norm.cdf(place - first)
            return both + (1.0 - share) * stats.norm.cdf(place - second) - level

        return optimize.brentq(above, -10.0, 15.0)

    return np.vectorize(of_value)


def swiss_roll(values):
    """A number between 0 and 1 rolled up in the plane."""
    turn = 1.5 * np.pi * (1.0 + 2.0 * values)
    return np.concatenate([turn * np.cos(turn), turn * np.sin(turn)], 1) / 21.0


def spiral(first, second):
    """Turns a plane of two coordinates by an angle in proportion to the squared length."""

    def turned(values):
        angle = SPEED / values.shape[1] * np.sum(values**2, 1)
        a, b = values[:, first], values[:, second]
        values = values.copy()
        values[:, first] = np.cos(angle) * a - np.sin(angle) * b
        values[:, second] = np.sin(angle) * a + np.cos(angle) * b
        return values

    return turned


def spiralled(task) -> Task:
    """Each variable in a plane of its own."""
    return task.mapped("Spiral", spiral(0, 1), spiral(1, 2))


def all_tasks() -> tuple[Task, ...]:
    """The forty, in the order of the paper."""
    pair = gaussian("Gaussian 1 x 1", np.array([[1.0, RHO], [RHO, 1.0]]))
    to_uniform, cube = stats.norm.cdf, half_cube
    uniform = pair.mapped("Normal CDF", to_uniform)
    bimodal = quantile_of_two(0.3, 0.0, 5.0), quantile_of_two(0.5, -1.0, 3.0)
    one = [
        *(pair, uniform, uniform_noise(0.1), uniform_noise(0.75)),
        pair.mapped("Bimodal", *bimodal),
        pair.mapped("Wiggly", wiggly_first, wiggly_second),
        *(pair.mapped("Half-cube", cube), student(1, 1)),
        student(1, 1).mapped("Asinh", np.arcsinh),
        uniform.mapped("Swiss roll", swiss_roll, lambda x: x),
    ]
    several = [*map(dense, (2, 3, 5, 25, 50)), *map(sparse, (2, 3, 5, 25))]
    heavy = [student(*of) for of in ((2, 1), (2, 2), (3, 2), (3, 3), (5, 2), (5, 3))]
    bases = [sparse(size) for size in (3, 5, 25)]
    uniforms = [base.mapped("Normal CDF", to_uniform) for base in bases]
    mapped = [*uniforms, *(base.mapped("Half-cube", cube) for base in bases)]
    mapped += [spiralled(base) for base in (*bases, *uniforms)]
    mapped += [student(*of).mapped("Asinh", np.arcsinh) for of in ((2, 1), (3, 2), (5, 2))]
    return (*one, *several, *heavy, *mapped)


TASKS = all_tasks()
