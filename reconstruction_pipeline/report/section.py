"""The parts of the page, as plain data for the template."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from markupsafe import Markup

from reconstruction_pipeline.artifacts.errors import InvalidArtifact
from reconstruction_pipeline.report.pictures import Picture


class Chart(NamedTuple):
    """A drawing and its caption."""

    svg: Markup
    caption: str


@dataclass(frozen=True)
class Table:
    """Rows of texts; `numeric` columns are set right. A `fold` puts the table behind that summary."""

    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    numeric: tuple[int, ...] = ()
    fold: str = ""


@dataclass
class Section:
    """A titled part: a lead sentence, facts, charts, pictures (`layout`: "thumbs", "pairs" or "wide"), tables."""

    id: str
    title: str
    lead: str = ""
    facts: list[tuple[str, str]] = field(default_factory=list)
    charts: list[Chart] = field(default_factory=list)
    pictures: list[Picture] = field(default_factory=list)
    layout: str = "wide"
    tables: list[Table] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)

    def attempt(self, what: str, draw: Callable[[], None]) -> None:
        """Draw a part; a damaged or missing file is said on the page instead of hidden, and costs only this part."""
        try:
            draw()
        except (OSError, ValueError, KeyError, InvalidArtifact) as error:
            self.troubles.append(f"{what} could not be shown: {error}.".replace("..", "."))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.facts or self.charts or self.pictures or self.tables or self.troubles)
