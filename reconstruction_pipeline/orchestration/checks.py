"""Quality gates as asset checks, one result a gate, per partition, in the stage's own step.

A separate check step for each of about thirty gates would cost more than some stages; so the asset itself
yields them after it is stored. A failed blocking gate fails the step and everything after it in the run.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import dagster as dg

from reconstruction_pipeline.artifacts import Gate, Verdict
from reconstruction_pipeline.orchestration.names import videos

GateNames = Sequence[tuple[str, str]]


def check_specs(asset: str, gates: GateNames) -> list[dg.AssetCheckSpec]:
    """Specs for a stage's gates, given as (name, "block" | "warn")."""
    with warnings.catch_warnings():
        # Checks per partition are a preview in this minor version of Dagster, which is why we pin it.
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return [
            dg.AssetCheckSpec(name, asset=asset, blocking=severity == "block", partitions_def=videos)
            for name, severity in gates
        ]


def check_results(gates: GateNames, verdict: Verdict, accept_failed: bool) -> list[dg.AssetCheckResult]:
    """One result a declared gate; one that the stage did not measure is shown as such.

    With `accept_failed`, a failed blocking gate only warns, so that the line goes on.
    """
    measured = {gate.name: gate for gate in verdict.gates}
    unknown = set(measured) - {name for name, _ in gates}
    if unknown:
        raise ValueError(f"gates without a check: {sorted(unknown)}; declare them in the stage's GATES.")
    return [_result(name, measured.get(name), accept_failed) for name, _ in gates]


def _result(name: str, gate: Gate | None, accept_failed: bool) -> dg.AssetCheckResult:
    if gate is None:
        return dg.AssetCheckResult(
            check_name=name, passed=True, description="Not measured: it does not apply to this capture."
        )
    blocks = gate.severity == "block" and not accept_failed
    return dg.AssetCheckResult(
        check_name=name,
        passed=gate.passed,
        severity=dg.AssetCheckSeverity.ERROR if blocks else dg.AssetCheckSeverity.WARN,
        description=f"{gate.message} {gate.advice if not gate.passed else ''}".strip(),
        metadata={
            key: value for key, value in {"value": gate.value, "threshold": gate.threshold}.items() if value is not None
        },
    )
