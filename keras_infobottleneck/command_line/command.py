"""A command of the command line: its name, its flags, what it does, and its page of help."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
            for whatever it cannot use. What it returns is the exit code; None stands for 0.
        needed: Names of flags that must be given.
        called: Arguments of Python, as sentences of the package name them, that are called
            otherwise on the command line, such as `{"model": "MODEL"}`. Those that are called as
            their flag are need not be named.
    """

    name: str
    arguments: tuple[str, ...]
    summary: str
    description: str
    define_flags: Callable[[flags.FlagValues], None]
    run: Callable[[Sequence[str], flags.FlagValues], int | None]
    needed: tuple[str, ...] = ()
    called: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, arguments: Sequence[str]) -> int | None:
        """Runs the command on what was written after its name; returns its exit code, None for 0.

        Raises:
            TypeError, ValueError, OSError: What cannot be used, in one sentence, which names flags
                and not the arguments of a Python function.
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
        try:
            return self.run(positional, values)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(self.in_flags(str(error))) from error

    def in_flags(self, text: str) -> str:
        """The same text, in which arguments of Python functions are called as on the command line.

        What stands in backticks is an argument where a flag has its name, and so is a name that an
        equals sign follows, as in what a refusal received.
        """
        words = {name: f"--{name}" for name in self._flag_values()} | dict(self.called)
        name = f"(?P<name>{'|'.join(map(re.escape, words))})"

        def flag(found: re.Match) -> str:
            word, value = words[found["name"]], found["value"]
            if value in ("None", "False"):
                return f"no {word}"
            return word if value in (None, "True") else f"{word}={value}"

        quoted = rf"`{name}(?:=(?P<value>[^`]*))?`"
        text = re.sub(quoted, lambda found: f"`{flag(found)}`", text)
        return re.sub(rf"(?<![-\w`.]){name}=(?P<value>None|True|False|(?=.))", flag, text)

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
