"""The process beside an external program: it starts it, and does not let it live on alone.

    python -m reconstruction_pipeline.stages.poses.external_worker JOB.json

It leads a process group of its own, in which the program and its children run. The end of standard input means that
the parent is gone; then the whole group goes.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from pathlib import Path

from reconstruction_pipeline.stages.poses.channel import Channel


def main() -> int:
    """Run `command` of the job in `cwd`; the exit status is 0 when it ended well."""
    channel = Channel()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job = json.loads(Path(sys.argv[1]).read_text())
    channel.send("phase", phase="external", total=1)
    try:
        # Standard output is the channel's no more: it goes to the log, like standard error.
        done = subprocess.run(job["command"], cwd=job["cwd"], stdin=subprocess.DEVNULL, check=False)
    except OSError as error:
        channel.send("error", message=f"it could not be started: {error.strerror}")
        return 1
    if done.returncode:
        how = f"signal {-done.returncode}" if done.returncode < 0 else f"status {done.returncode}"
        channel.send("error", message=f"it ended with {how}")
        return 1
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    channel.send("result", peak_rss_mb=peak / 1024)
    return 0


def _end_with_parent() -> None:
    sys.stdin.read()
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
