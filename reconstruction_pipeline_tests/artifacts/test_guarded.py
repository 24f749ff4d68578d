from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

from reconstruction_pipeline.artifacts.guarded import PACKAGE_ROOT, ChildFailed, ChildLimits, GuardedChild

WORKER = "reconstruction_pipeline_tests.artifacts.guarded_worker"
LIMITS = ChildLimits(memory_mb=500, stall_s=20)


def run(end: str, limits: ChildLimits = LIMITS, payload: int = 0) -> list[tuple[int, bytes]]:
    with GuardedChild(WORKER, {"end": end, "payload": payload}, limits) as child:
        return [(document["pid"], data) for document, data in child.messages()]


def gone(pid: int) -> bool:
    for _ in range(100):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


def test_messages_and_payloads_arrive_whole() -> None:
    ((pid, data),) = run("done", payload=5_000_000)
    assert data == bytes(5_000_000)
    assert gone(pid)


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ("crash", "was ended by SIGSEGV"),
        ("exit", "ended with status 7"),
        ("error", r"met an error that nobody foresaw \(ValueError: no good\)"),
        ("memory", "needs more than 500 MB of memory"),
    ],
)
def test_every_bad_end_is_a_few_words(end: str, says: str) -> None:
    with pytest.raises(ChildFailed, match=f"^{says}$"):
        run(end)


def test_silence_ends_the_child_and_signs_of_life_do_not() -> None:
    pids = []
    with (
        pytest.raises(ChildFailed, match="shows no sign of life for 4 s"),
        GuardedChild(WORKER, {"end": "hang"}, ChildLimits(500, 4.0)) as child,
    ):
        for document, _ in child.messages():
            pids.append(document["pid"])
    assert gone(pids[0])
    assert len(run("work", ChildLimits(500, 4.0))) == 1


def test_leaving_early_ends_the_child() -> None:
    with GuardedChild(WORKER, {"end": "hang"}, LIMITS) as child:
        document, _ = next(child.messages())
    assert gone(document["pid"])


def test_a_killed_parent_leaves_no_child() -> None:
    program = (
        "from reconstruction_pipeline.artifacts.guarded import ChildLimits, GuardedChild\n"
        f"with GuardedChild({WORKER!r}, {{'end': 'hang'}}, ChildLimits(500, 60)) as child:\n"
        "    for document, _ in child.messages(): print(document['pid'], flush=True)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=PACKAGE_ROOT)
    assert parent.stdout
    pid = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert gone(pid)
