"""Placeholders in commands: `{name}`, filled with paths and numbers that we made, word by word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.external.descriptor import Word

PLACEHOLDER = re.compile(r"\{([a-z_][a-z0-9_]*)\}")

Values = Mapping[str, str | None]


def placeholders(word: str) -> list[str]:
    """Names of the placeholders in a word."""
    return PLACEHOLDER.findall(word)


def fill(word: str, values: Values) -> str | None:
    """The word with its placeholders filled; None where one has no value."""
    if any(values.get(name) is None for name in placeholders(word)):
        return None
    return PLACEHOLDER.sub(lambda match: str(values[match[1]]), word)


def filled(command: Iterable[Word], values: Values) -> list[str]:
    """The command to run, without the optional groups that have no value.

    Raises `UsageError` where a word that is not optional has none.
    """
    words: list[str] = []
    for item in command:
        group = [fill(word, values) for word in ((item,) if isinstance(item, str) else item)]
        if None not in group:
            words += [word for word in group if word is not None]
        elif isinstance(item, str):
            raise UsageError(
                f"the word '{item}' of an external command has no value in this run; write it as an optional group,"
                " such as ['--steps', '{steps}']."
            )
    return words
