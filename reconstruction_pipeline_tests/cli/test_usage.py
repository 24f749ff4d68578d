"""Help, exit codes and one-sentence errors: what a user meets before any work is done."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from reconstruction_pipeline.cli.dagster_services import claim
from reconstruction_pipeline.settings import load_settings
from reconstruction_pipeline_tests.cli.conftest import Cli
from reconstruction_pipeline_tests.stages.captures import sliding_frames, write_video

COMMANDS = ("run", "demo", "train", "evaluate", "render", "export", "convert", "doctor", "serve", "ui")


def has_cuda() -> bool:
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return torch.cuda.is_available()


NO_GPU = pytest.mark.skipif(has_cuda(), reason="this machine has the GPU that the test wants missing")


def test_help_names_every_command(cli: Cli) -> None:
    done = cli("--help")
    assert done.code == 0
    for command in COMMANDS:
        assert f" {command} " in done.out
    assert "130 interrupted" in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(cli: Cli, command: str) -> None:
    done = cli(command, "--help")
    assert done.code == 0
    assert f"Usage: reconstruct {command} " in done.out
    assert done.err == ""


def test_no_arguments_shows_the_help(cli: Cli) -> None:
    done = cli()
    assert done.code == 2
    assert "convert" in done.out + done.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["frobnicate"], "frobnicate"),
        (["run"], "INPUT"),
        (["run", "a.mp4", "--preset", "luxury"], "luxury"),
        (["run", "a.mp4", "--device", "abacus"], "abacus"),
        (["run", "a.mp4", "b.mp4", "--name", "x"], "--name"),
        (["run", "a.mp4", "--bogus"], "--bogus"),
        (["train", "project"], "--out"),
        (["train", "project", "--out", "x.ply", "--steps", "0"], "--steps"),
        (["train", "project", "--out", "x.ply", "--steps", "5", "--seconds", "5"], "not both"),
        (["train", "project", "--out", "x.obj"], "x.obj"),
        (["convert", "a.ply", "b.sog", "--rotate", "1,2"], "--rotate"),
    ],
)
def test_bad_usage(cli: Cli, storage: Path, arguments: list[str], says: str) -> None:
    done = cli(*arguments)
    assert done.code == 2
    assert says in done.error
    assert len(done.err.strip().splitlines()) == 1
    assert done.out == ""


def unusable(folder: Path, kind: str) -> Path:
    path = folder / f"{kind}.mp4"
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "renamed":
        path.write_text("I am a letter.\n" * 100)
    elif kind == "one_frame":
        write_video(path, sliding_frames(1, 64, 64))
    elif kind == "cut_off":
        write_video(path, sliding_frames(20, 64, 64))
        path.write_bytes(path.read_bytes()[:-700])
    elif kind == "sound_only":
        import av

        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=44100)
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.float32), format="fltp", layout="mono")
            frame.sample_rate = 44100
            container.mux(stream.encode(frame) + stream.encode())
    elif kind == "empty_zip":
        path = path.with_suffix(".zip")
        zipfile.ZipFile(path, "w").close()
    elif kind == "empty_folder":
        path = folder / kind
        path.mkdir()
    return path


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("missing", "no such file"),
        ("empty", "empty"),
        ("renamed", "not a readable video"),
        ("one_frame", "1 frame"),
        ("cut_off", "cut_off.mp4"),
        ("sound_only", "only sound"),
        ("empty_zip", "empty_zip.zip"),
        ("empty_folder", "empty_folder"),
    ],
)
def test_an_unusable_input_is_rejected_and_leaves_nothing(
    cli: Cli, storage: Path, tmp_path: Path, kind: str, says: str
) -> None:
    import dagster as dg

    from reconstruction_pipeline.orchestration.names import VIDEOS

    done = cli("run", unusable(tmp_path, kind))
    assert done.code == 2
    assert says in done.error
    assert len(done.err.strip().splitlines()) == 1
    assert not list(storage.rglob("*")) or {p.name for p in storage.iterdir()} <= {".scratch"}
    with dg.DagsterInstance.get() as instance:
        assert list(instance.get_dynamic_partitions(VIDEOS)) == []
        assert instance.get_runs() == []


def test_of_several_inputs_each_is_judged(cli: Cli, storage: Path, tmp_path: Path) -> None:
    done = cli("run", unusable(tmp_path, "empty"), tmp_path / "missing.mp4")
    assert done.code == 2
    assert [line.startswith("error: ") for line in done.err.splitlines()] == [True, True]


def test_an_out_folder_that_cannot_be_written_is_said_before_the_work(
    cli: Cli, storage: Path, tmp_path: Path, videos: list[Path]
) -> None:
    (tmp_path / "file").write_text("")
    done = cli("run", videos[0], "--out", tmp_path / "file" / "below")
    assert done.code == 2
    assert "--out" in done.error


@NO_GPU
def test_cuda_without_a_gpu_is_said_before_anything_is_made(cli: Cli, storage: Path, videos: list[Path]) -> None:
    done = cli("run", videos[0], "--device", "cuda")
    assert done.code == 4
    assert "CUDA" in done.error
    assert not (storage / "catalog").exists()


def test_a_folder_that_is_no_project(cli: Cli, tmp_path: Path) -> None:
    done = cli("train", tmp_path, "--out", tmp_path / "scene.ply")
    assert (done.code, "cameras.bin or .txt" in done.error) == (2, True)
    (tmp_path / "survey.psx").touch()
    done = cli("train", tmp_path, "--out", tmp_path / "scene.ply")
    assert (done.code, "survey.psx" in done.error, "COLMAP's text format" in done.error) == (2, True, True)
    done = cli("train", tmp_path / "none", "--out", tmp_path / "scene.ply")
    assert (done.code, "no such folder" in done.error) == (2, True)


def test_doctor_finds_what_the_tests_run_on(cli: Cli) -> None:
    done = cli("doctor")
    assert done.code == 0
    for part in ("numba", "av", "pycolmap", "dagster", "video codecs"):
        assert any(line.startswith("ok") and part in line for line in done.out.splitlines()), part
    assert cli("doctor", "--strict").code == (4 if "MISSING" in done.out else 0)


@NO_GPU
def test_doctor_fails_for_cuda_without_a_gpu(cli: Cli) -> None:
    done = cli("doctor", "--strict", "--for", "cuda")
    assert done.code == 4
    assert "MISSING CUDA parts" in done.out and "absent  GPU" in done.out
    assert "CUDA parts" in done.error
    assert cli("doctor", "--for", "cuda").code == 0


def test_an_error_is_one_sentence_and_debug_shows_the_traceback(cli: Cli, storage: Path) -> None:
    done = cli("run", "nowhere.mp4", "--debug")
    assert done.code == 2
    assert "Traceback" in done.err
    assert done.err.rstrip().splitlines()[-1].startswith("error: nowhere.mp4: there is no such file")


def test_a_bug_is_one_sentence_too(cli: Cli, storage: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from reconstruction_pipeline.orchestration import scene_run

    monkeypatch.setattr(scene_run, "probe", lambda path: 1 / 0)
    done = cli("run", "clip.mp4")
    assert done.code == 1
    assert "unexpected ZeroDivisionError" in done.error and "--debug" in done.error


def test_the_help_needs_no_heavy_import() -> None:
    code = (
        "import sys; from reconstruction_pipeline.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "print([n for n in ('torch', 'numba', 'dagster', 'cv2', 'open3d', 'pycolmap') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_serve_is_not_opened_to_others_without_tokens_and_needs_a_free_port(cli: Cli, storage: Path) -> None:
    assert "RECONSTRUCTION_TOKENS" in cli("serve", "--host", "0.0.0.0").error
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = cli("serve", "--port", port)
    assert done.code == 2 and str(port) in done.error


def test_ui_says_where_dagster_already_works(cli: Cli, storage: Path) -> None:
    held = claim(load_settings(), "http://127.0.0.1:3999")
    assert held.descriptor is not None
    done = cli("ui")
    assert done.code == 2 and "http://127.0.0.1:3999" in done.error
    os.close(held.descriptor)
    assert claim(load_settings(), "http://127.0.0.1:4000").descriptor is not None
