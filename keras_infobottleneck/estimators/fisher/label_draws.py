"""The draws of labels that a result was made of, so that no draw counts twice in a sum."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

__all__ = ["LabelDraws", "joined_draws"]


class LabelDraws(NamedTuple):
    """Draws with one seed for examples with consecutive numbers.

    Attributes:
        seed: Seed of the draws.
        first_example: Number of the first example.
        num_examples: Number of examples.
    """

    seed: int
    first_example: int
    num_examples: int

    @property
    def end(self) -> int:
        """Number of the last example plus one."""
        return self.first_example + self.num_examples


def joined_draws(
    mine: Iterable[LabelDraws], theirs: Iterable[LabelDraws]
) -> tuple[LabelDraws, ...]:
    """The draws of both, sorted; adjacent draws of the same seed are joined.

    Raises:
        ValueError: Some draws are in both.
    """
    joined: list[LabelDraws] = []
    for draws in sorted([*mine, *theirs]):
        last = joined[-1] if joined else None
        if last is None or last.seed != draws.seed or last.end < draws.first_example:
            joined.append(draws)
        elif last.end == draws.first_example:
            count = last.num_examples + draws.num_examples
            joined[-1] = LabelDraws(last.seed, last.first_example, count)
        else:
            end = min(last.end, draws.end) - 1
            raise ValueError(
                "Results with drawn labels can be added only if they share no draws: "
                "`first_example` must say where each part starts, or the seeds must differ. "
                f"Received: seed={draws.seed} for examples {draws.first_example} to {end} in both"
            )
    return tuple(joined)
