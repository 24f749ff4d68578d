"""Where a step wants to run, told to every kind of executor: ours on Docker, and Dagster's on Kubernetes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconstruction_pipeline.orchestration.names import HARDWARE_TAG

CPU_POD: Mapping[str, Any] = {
    "container_config": {
        "resources": {"requests": {"cpu": "2", "memory": "4Gi"}, "limits": {"memory": "16Gi"}},
    },
}
GPU_POD: Mapping[str, Any] = {
    "container_config": {
        "resources": {
            "requests": {"cpu": "4", "memory": "8Gi"},
            "limits": {"memory": "48Gi", "nvidia.com/gpu": "1"},
        },
    },
    "pod_spec_config": {"tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]},
}
"""A device that is its pod's alone: the device plugin assigns it."""


def hardware_tags(hardware: str) -> dict[str, Any]:
    """Op tags of a step that prefers "gpu" or "cpu"; what a pod gets can be replaced by `per_step_k8s_config`."""
    pods = {"gpu": GPU_POD, "cpu": CPU_POD}
    return {HARDWARE_TAG: hardware, "dagster-k8s/config": dict(pods[hardware])}
