"""A command of the command line: its name, its flags, its function, and its page of help."""

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
    """One command. Each is defined in its own file, and listed in `registration.COMMANDS`.

    Args:
        name: Word that calls the command.
        arguments: Names of the positional arguments, such as `("MODEL.keras",)`; all are needed.
        summary: One sentence for the list of commands.
        description: Paragraphs for its page of help.
        define_flags: Function that defines the flags, with absl, in the given `FlagValues`.
        run: Function of the positional arguments and the parsed flags. It prints the results to
            standard output, and raises `TypeError`, `ValueError` or `OSError` with one sentence
            for anything that it cannot use. It returns the exit code; None stands for 0.
        needed: Names of flags that must be given.
        called: Names on the command line of Python arguments that occur in messages of the
            package, such as `{"model": "MODEL"}`. Arguments with the name of their flag need
            not be listed.
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
        """Runs the command with the arguments after its name; returns its exit code, None for 0.

        Raises:
            TypeError, ValueError, OSError: Something cannot be used; the message is one sentence
                that names flags and not the arguments of a Python function.
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
        """Replaces the names of Python arguments in a text by those on the command line.

        A word in backticks is taken for an argument if a flag has its name, and so is a name
        followed by an equals sign, as in the part of a message after "Received:".
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
        """Flags of this command only; those of other modules are neither listed nor accepted."""
        values = flags.FlagValues()
        self.define_flags(values)
        return values


def value_of(values: flags.FlagValues, name: str) -> Any:
    """The given value of a flag, or its default."""
    return values[name].value


def usage_error(command: str, sentence: str) -> ValueError:
    """An error of usage, with a reference to the help."""
    end = "" if sentence.endswith(".") else "."
    return ValueError(f"{sentence}{end} See {PROGRAM} {command} --help")
