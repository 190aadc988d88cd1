"""A command of the command line: its name, its flags, what it does, and its page of help."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from absl import flags

__all__ = ["PROGRAM", "Command", "usage_error", "value_of"]

PROGRAM = "kib"
# Maximum line width of the help, in characters.
WIDTH = 88


@dataclass(frozen=True)
class Command:
    """One command. Make one in a file of its own, and add it to `registration.COMMANDS`.

    Args:
        name: The word that calls it.
        arguments: Names of the positional arguments, such as `("MODEL.keras",)`; all are needed.
        summary: One sentence for the list of commands.
        description: Paragraphs for its own page of help.
        define_flags: A function that defines the flags, with absl, in the `FlagValues` given.
        run: A function of the positional arguments and the parsed flags. It prints what was found
            to standard output, and raises `TypeError`, `ValueError` or `OSError` with one sentence
            for whatever it cannot use.
        needed: Names of flags that must be given.
    """

    name: str
    arguments: tuple[str, ...]
    summary: str
    description: str
    define_flags: Callable[[flags.FlagValues], None]
    run: Callable[[Sequence[str], flags.FlagValues], None]
    needed: tuple[str, ...] = ()

    def __call__(self, arguments: Sequence[str]) -> None:
        """Runs the command on what was written after its name.

        Raises:
            TypeError, ValueError, OSError: What cannot be used, in one sentence.
        """
        values = self._flag_values()
        try:
            positional = values([self.name, *arguments])[1:]
        except flags.Error as error:
            raise usage_error(self.name, " ".join(str(error).split())) from None
        if len(positional) != len(self.arguments):
            expected = " ".join(self.arguments)
            raise usage_error(
                self.name, f"expected {expected}. Received: {' '.join(positional) or 'nothing'}"
            )
        for name in self.needed:
            if value_of(values, name) is None:
                raise usage_error(self.name, f"--{name} is needed. Received: no --{name}")
        self.run(positional, values)

    def help(self) -> str:
        """The page of help: usage, description, and every flag with its default."""
        values = self._flag_values()
        needed = "".join(f" --{name}=..." for name in self.needed)
        lines = [f"usage: {PROGRAM} {self.name} {' '.join(self.arguments)}{needed} [flags]", ""]
        for paragraph in (self.summary, *self.description.split("\n\n")):
            lines += [*textwrap.wrap(" ".join(paragraph.split()), WIDTH), ""]
        lines.append("flags:")
        for flag in sorted((values[name] for name in values), key=lambda flag: flag.name):
            word = f"--[no]{flag.name}" if flag.boolean else f"--{flag.name}"
            default = "" if flag.default in (None, False) else f" (default: {flag.default_as_str})"
            lines.append(f"  {word}")
            lines += textwrap.wrap(
                f"{flag.help}{default}", WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6
            )
        return "\n".join(lines)

    def _flag_values(self) -> flags.FlagValues:
        """Flags of this command alone, so that no other module's are listed or taken."""
        values = flags.FlagValues()
        self.define_flags(values)
        return values


def value_of(values: flags.FlagValues, name: str) -> Any:
    """The value that a flag was given, or its default."""
    return values[name].value


def usage_error(command: str, sentence: str) -> ValueError:
    """The refusal of a call, with where to read how it is done."""
    end = "" if sentence.endswith(".") else "."
    return ValueError(f"{sentence}{end} See {PROGRAM} {command} --help")
