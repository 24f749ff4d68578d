"""Licences: programs that may not be used commercially are refused unless somebody says that this use is not."""

from __future__ import annotations

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.external.descriptor import Program

HOW = "pass --allow-noncommercial or set RECONSTRUCTION_ALLOW_NONCOMMERCIAL=1"


def require_permission(program: Program, noncommercial: bool) -> None:
    """Raise `UsageError` for a program whose licence forbids commercial use, unless `noncommercial` use was stated."""
    if not program.commercial_use and not noncommercial:
        raise UsageError(
            f"{program.name}: its licence ({program.licence}) does not allow commercial use; if yours is none, {HOW}."
        )


def remark(program: Program) -> str:
    """What a person should know when it is chosen: its licence, and whether this file was ever tried."""
    parts = [f"{program.asset}: by {program.name} ({program.licence})"]
    if not program.commercial_use:
        parts.append("non-commercial use only, also of what it makes unless its licence says otherwise")
    if not program.verified:
        parts.append("unverified: this descriptor was never run with the real program")
    return "; ".join(parts)
