"""The gallery's page: cards that work without JavaScript, and with it are searched, filtered and sorted."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from reconstruction_pipeline.gallery.entry import UNKNOWN, Entry
from reconstruction_pipeline.report.grade import MEANING
from reconstruction_pipeline.report.words import plural

if TYPE_CHECKING:
    from jinja2 import Environment


def render_gallery(entries: Sequence[Entry]) -> str:
    """The page as text: the newest scene first, scenes of unknown age after them by name."""
    ordered = sorted(entries, key=lambda entry: (-(entry.made or 0.0), entry.key))
    grades = [grade for grade in (*MEANING, UNKNOWN) if any(entry.grade == grade for entry in entries)]
    counts = {grade: sum(entry.grade == grade for entry in entries) for grade in grades}
    template = _environment().get_template("gallery.html.j2")
    return template.render(entries=ordered, counts=counts, meanings=MEANING, total=plural(len(entries), "scene"))


@cache
def _environment() -> Environment:
    from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined

    # The report's templates hold the colours that all pages share.
    packages = ("reconstruction_pipeline.gallery", "reconstruction_pipeline.report")
    return Environment(
        loader=ChoiceLoader([PackageLoader(name) for name in packages]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
