"""Compiling ahead of time."""

from __future__ import annotations

from reconstruction_pipeline.kernels.warmup import STEPS, compile_all


def test_reports_every_part_and_the_end() -> None:
    seen: list[tuple[float, str]] = []
    compile_all(lambda fraction, what: seen.append((fraction, what)))
    assert [what for _, what in seen] == [*STEPS, ""]
    fractions = [fraction for fraction, _ in seen]
    assert fractions == sorted(fractions) and fractions[0] == 0.0 and fractions[-1] == 1.0
