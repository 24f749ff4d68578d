"""Hardware profiles: what a file may say, and what is refused with a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.errors import UsageError
from reconstruction_pipeline.orchestration.executors import executor_for, local_processes
from reconstruction_pipeline.orchestration.hardware.profiles import load_profiles, profiles_of
from reconstruction_pipeline.settings import load_settings

ROOT = Path(__file__).resolve().parents[3]


def test_the_projects_own_file_has_a_profile_for_every_tag() -> None:
    profiles = load_profiles(ROOT / "docker" / "profiles.yaml")
    assert set(profiles) == {"cpu", "gpu"}
    assert profiles["gpu"].asks_for_device and not profiles["cpu"].asks_for_device
    without = load_profiles(ROOT / "docker" / "profiles.cpu.yaml")
    assert set(without) == set(profiles)
    assert not any(profile.asks_for_device or profile.image for profile in without.values())


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({}, "at least 'cpu' and 'gpu'"),
        ({"cpu": {"container_kwargs": {"auto_remove": True}}}, "must not set auto_remove"),
        ({"cpu": {"imgae": "x"}}, "may have image, env_vars and container_kwargs"),
        ({"cpu": "fast"}, "may have image, env_vars and container_kwargs"),
    ],
)
def test_what_cannot_work_is_refused(body: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        profiles_of(body, "profiles.yaml")


@pytest.mark.parametrize("text", ["- a list\n", "cpu: [unclosed\n"])
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "profiles.yaml"
    path.write_text(text)
    with pytest.raises(UsageError, match=r"profiles\.yaml"):
        load_profiles(path)


def test_the_settings_choose_the_executor() -> None:
    assert executor_for(load_settings({})) is local_processes
    assert executor_for(load_settings({"RECONSTRUCTION_EXECUTOR": "docker"})).name == "hardware_containers"
    with pytest.raises(UsageError, match="processes or docker or kubernetes"):
        load_settings({"RECONSTRUCTION_EXECUTOR": "slurm"})
