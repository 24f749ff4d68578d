"""Running programs that behave and programs that do not, each in a process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from reconstruction_pipeline.artifacts.errors import Cancelled, MissingRequirement, StageFailed, UsageError
from reconstruction_pipeline.artifacts.progress import NullProgress, Progress, RecordingProgress
from reconstruction_pipeline.external.descriptor import Program, Watch
from reconstruction_pipeline.external.jobs import require_here
from reconstruction_pipeline.external.output import KeptLog, Watcher, number
from reconstruction_pipeline.external.run import run_external
from reconstruction_pipeline.external.stage import ExternalStage, Outcome
from reconstruction_pipeline_tests.external.programs import STAND_IN, gone, living, program

WATCH = {
    "progress": r"Training progress: +(?P<percent>\d+)%",
    "curve": r"Training progress: .*? (?P<step>\d+)/\d+ \[.*Loss=(?P<loss>[\d.]+)",
    "metrics": {
        "steps": r"\[ITER (?P<value>\d+)\] Saving",
        "psnr_train": r"Evaluating train: .* PSNR (?P<value>[\d.]+)",
    },
}


def run(made: Program, folder: Path, progress: Progress | None = None, limit_s: float = 60.0) -> Outcome:
    stage = ExternalStage(made, failed_logs=str(folder / "failed"))
    inputs = {"project": folder / "work" / "input"}
    log, deadline = folder / "external.log", time.monotonic() + limit_s
    return run_external(stage, inputs, {}, folder / "work", log, progress or NullProgress(), deadline)


def test_a_program_is_run_watched_and_read(tmp_path: Path) -> None:
    source = tmp_path / "source.ply"
    source.write_bytes(b"ply of no importance")
    made = program("train", str(source), writes={"point_cloud/iteration_*/point_cloud.ply": "3dgs-ply"}, watch=WATCH)
    progress = RecordingProgress()
    outcome = run(made, tmp_path, progress)
    assert outcome.results["3dgs-ply"].read_bytes() == source.read_bytes()
    assert outcome.reported == {"steps": 30000, "psnr_train": 31.5}
    assert [step for step, _, _ in outcome.curve] == list(range(0, 30001, 3000))
    assert outcome.curve[-1][2] == pytest.approx(0.1) and outcome.curve[-1][1] >= outcome.curve[0][1]
    shares = [done for _, done, _, _ in progress.reports]
    assert shares == sorted(shares) and all(stage == "gaussian_splats" for stage, *_ in progress.reports)
    log = (tmp_path / "external.log").read_text()
    assert log.startswith("$ ") and "started train" in log and "Saving Gaussians" in log
    assert outcome.log_bytes == len(log.encode()) and outcome.log_left_out == 0
    assert outcome.peak_rss_mb and 3 < outcome.peak_rss_mb < 100
    metrics = outcome.metrics(ExternalStage(made))
    assert metrics["backend"] == "external-stand-in" and metrics["external_psnr_train"] == 31.5
    assert metrics["external"]["licence"] == "MIT" and metrics["external"]["descriptor"] == made.digest


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (("nothing",), r"ended well but left no 'scene.ply' in its output folder \(there is nothing\); its last"),
        (("fail",), r"ended with status 3; its last lines: started fail \| cannot find the frobnicator\."),
        (("die", "SIGSEGV"), r"was killed by SIGSEGV; its last lines: started die SIGSEGV \| about to die"),
        (("link", "/etc/passwd"), "left 'scene.ply' as a link to a place outside its output folder"),
    ],
)
def test_each_way_of_failing_is_a_sentence_with_last_lines(mode: tuple[str, ...], said: str, tmp_path: Path) -> None:
    with pytest.raises(StageFailed, match=said) as failure:
        run(program(*mode), tmp_path)
    assert "'stand-in'" in str(failure.value) and "\n" not in str(failure.value)
    (kept,) = (tmp_path / "failed").iterdir()
    assert f"started {mode[0]}" in kept.read_text(), "the log outlives the workspace"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_program_that_hangs_is_ended_with_its_children(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(StageFailed, match="did not end within its time limit; its last lines: started hang"):
        run(program("hang"), tmp_path, limit_s=1.5)
    assert gone(str(tmp_path)) and time.monotonic() - began < 20
    (tmp_path / "again").mkdir()
    with pytest.raises(Cancelled):
        run(program("hang"), tmp_path / "again", RecordingProgress(cancel_after=8))
    assert gone(str(tmp_path))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_program_does_not_outlive_who_waits_for_it(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib, time\n"
        "from reconstruction_pipeline_tests.external.test_run import run, program\n"
        "run(program('hang'), pathlib.Path(sys.argv[1]))\n"
    )
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=root)
    output = str(tmp_path / "work" / "output")
    deadline = time.monotonic() + 60
    while len(living(output)) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(living(output)) >= 2
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert gone(output)


def test_an_interrupted_program_goes_on_from_its_newest_checkpoint(tmp_path: Path) -> None:
    resume = {"checkpoint": "chkpnt*.pth", "argv": ["--start_checkpoint", "{checkpoint}"]}
    with pytest.raises(StageFailed, match="was killed by SIGKILL, as the system does when memory runs out"):
        run(program("interrupted", resume=resume), tmp_path)
    early = tmp_path / "work" / "output" / "scene.ply"
    os.utime(early, (time.time() - 60, time.time() - 60))
    with pytest.raises(StageFailed, match=r"ended well but left no 'scene\.ply'"):
        run(program("interrupted", "lazy", resume=resume), tmp_path)
    outcome = run(program("interrupted", resume=resume), tmp_path)
    assert outcome.resumed_from == "chkpnt15000.pth"
    assert b"element vertex 40" in outcome.results["3dgs-ply"].read_bytes()


def test_a_program_sees_little_of_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    monkeypatch.setenv("MY_WEIGHTS", "/weights")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    told = {"PROJECT": "{project}", "THREADS": "{threads}"}
    outcome = run(program("environment", environment=told, inherit=["MY_WEIGHTS"]), tmp_path)
    seen = dict(line.split("=", 1) for line in outcome.results["3dgs-ply"].read_text().splitlines())
    assert "AWS_SECRET_ACCESS_KEY" not in seen and seen["MY_WEIGHTS"] == "/weights"
    assert seen["CUDA_VISIBLE_DEVICES"] == "1" and int(seen["THREADS"]) >= 1
    assert seen["PROJECT"] == str(tmp_path / "work" / "input")


def test_several_commands_run_in_order_and_the_first_failure_ends_them(tmp_path: Path) -> None:
    first = [sys.executable, str(STAND_IN), "few", "{output}", "{project}"]
    second = [sys.executable, str(STAND_IN), "copy", "{output}", "{output}/scene.ply", "second.ply"]
    steps = [{"argv": first}, {"argv": second}]
    outcome = run(program("", argv=[], steps=steps, writes={"second.ply": "3dgs-ply"}), tmp_path)
    assert b"element vertex 31" in outcome.results["3dgs-ply"].read_bytes()
    assert (tmp_path / "external.log").read_text().count("$ ") == 2
    with pytest.raises(StageFailed, match="ended with status 1"):
        run(program("", argv=[], steps=steps[::-1]), tmp_path / "wrong")


def test_a_program_may_speak_dagster_pipes_to_us(tmp_path: Path) -> None:
    progress = RecordingProgress()
    outcome = run(program("pipes", pipes=True), tmp_path, progress)
    assert outcome.reported == {"psnr": 30.5, "note": "fine"}
    assert 0.4 in [done for _, done, _, _ in progress.reports]
    assert f"[INFO] asked for {tmp_path}/work/output" in (tmp_path / "external.log").read_text()


def test_a_program_that_is_not_here_is_named_with_how_to_get_it(tmp_path: Path) -> None:
    made = program("x", argv=["no-such-program", "{output}", "{project}"], install="apt-get install it")
    said = r"'stand-in' is not on this machine \(there is no 'no-such-program' on the path\); install it \(apt-get"
    with pytest.raises(MissingRequirement, match=said):
        run(made, tmp_path)
    with pytest.raises(MissingRequirement):
        require_here(ExternalStage(made))
    with pytest.raises(UsageError, match="has no value in this run"):
        run(program("nothing", "{steps}"), tmp_path)


@pytest.mark.parametrize("megabytes", [6, pytest.param(400, marks=pytest.mark.soak)])
def test_a_flood_is_drained_and_its_end_is_kept(tmp_path: Path, megabytes: int) -> None:
    import resource

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome = run(program("flood", str(megabytes), log_limit_mb=2), tmp_path, limit_s=280)
    assert outcome.log_bytes > 0.98 * megabytes * 2**20
    log = tmp_path / "external.log"
    assert log.stat().st_size < 3.1 * 2**20 and outcome.log_left_out > 0
    text = log.read_text(errors="replace")
    assert "started flood" in text[:500] and "bytes left out ...]" in text
    assert text.endswith("the last line of the flood\n")
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < 64


def test_logs_of_any_size_keep_both_ends(tmp_path: Path) -> None:
    for total in (10, 5000, 2**20 + 5000, 3 * 2**20):
        log = KeptLog(tmp_path / "log", 4096)
        data = os.urandom(total)
        for start in range(0, total, 3000):
            log.write(data[start : start + 3000])
        log.close()
        stored = (tmp_path / "log").read_bytes()
        assert stored[:4096] == data[:4096] and stored[-min(total, 2**20) :] == data[-min(total, 2**20) :]
        assert log.left_out == max(0, total - 4096 - 2**20)
        assert (len(stored) == total) == (log.left_out == 0)


def test_patterns_are_found_however_the_output_is_cut(tmp_path: Path) -> None:
    text = "loading\rstep 10/40 loss 0.5\rstep 20/40 loss 0.25\nscore: 1_234.5\nunfinished 30/40"
    watch = Watch(r"(?P<done>\d+)/(?P<total>\d+)", "", r"step (?P<step>\d+)/\d+ loss (?P<loss>[\d.]+)", {})
    watch = replace(watch, metrics={"score": r"score: (?P<value>\S+)"})
    for size in (1, 3, 7, 1000):
        watcher = Watcher(watch, {}, clock=lambda: 0.0)
        for start in range(0, len(text), size):
            watcher.feed(text[start : start + size].encode())
        assert watcher.share == 0.5 and watcher.metrics == {"score": 1234.5}
        assert watcher.curve == [(10, 0.0, 0.5), (20, 0.0, 0.25)]
        watcher.end()
        assert watcher.share == 0.75 and watcher.line == "unfinished 30/40"


def test_numbers_are_read_as_people_write_them() -> None:
    texts = ("30,000", "30_000", "1.5e-3", " 7 ", "", "n/a")
    assert [number(text) for text in texts] == [30000, 30000, 1.5e-3, 7, None, None]
    assert json.dumps(number("12")) == "12"
