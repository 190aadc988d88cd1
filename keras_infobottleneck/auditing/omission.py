"""What a report does not hold, and why."""

from __future__ import annotations

import dataclasses

__all__ = ["Omission"]

MAX_CHARACTERS = 300


@dataclasses.dataclass(frozen=True)
class Omission:
    """Something that was not measured.

    Attributes:
        part: of the report, or "layers" for a layer that no part is about.
        where: layer, weight or measure; "all" where the whole part is missing.
        reason: one sentence.
    """

    part: str
    where: str
    reason: str

    @classmethod
    def of(cls, part: str, where: str, error: Exception) -> Omission:
        """From what an estimator refused."""
        sentence = " ".join(str(error).split()) or "no reason given"
        if not isinstance(error, ValueError | TypeError):
            sentence = f"{type(error).__name__}: {sentence}"
        if len(sentence) > MAX_CHARACTERS:
            sentence = f"{sentence[:MAX_CHARACTERS]}..."
        return cls(part, where, sentence)

    def to_dict(self) -> dict[str, str]:
        """Plain strings, for JSON."""
        return dataclasses.asdict(self)

    def __str__(self) -> str:
        place = self.part if self.where == "all" else f"{self.part}, {self.where}"
        return f"{place}: {self.reason}"
