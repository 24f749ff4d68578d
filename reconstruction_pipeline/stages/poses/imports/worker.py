"""The child process in which pycolmap works on imported projects; see `poses/colmap_worker.py` for why it is one.

python -m reconstruction_pipeline.stages.poses.imports.worker JOB.json
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import traceback
from pathlib import Path

from reconstruction_pipeline.stages.poses.channel import Channel
from reconstruction_pipeline.stages.poses.imports.triangulation import triangulate
from reconstruction_pipeline.stages.poses.imports.undistortion import undistort


def main() -> int:
    """Run the job named on the command line; the exit status is 0 when a result was sent."""
    channel = Channel()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, daemon=True).start()
    job = json.loads(Path(sys.argv[1]).read_text())
    try:
        result = {"undistort": undistort, "triangulate": triangulate}[job["task"]](job, channel)
    except Exception as error:
        traceback.print_exc()
        channel.send("error", message=str(error))
        return 1
    # Kilobytes on Linux.
    channel.send("result", peak_rss_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, **result)
    return 0


def _leave_with_parent() -> None:
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
