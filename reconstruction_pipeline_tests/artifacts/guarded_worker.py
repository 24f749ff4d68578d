"""A worker that ends in the way it is asked to."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

from reconstruction_pipeline.artifacts.guarded import Replies, serve


def work(request: dict[str, Any], replies: Replies) -> None:
    replies.send({"pid": os.getpid()}, bytes(request.get("payload", 0)))
    print("libraries print", flush=True)
    if request["end"] == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif request["end"] == "exit":
        os._exit(7)
    elif request["end"] == "error":
        raise ValueError("no good.\nat all")
    elif request["end"] == "memory":
        bytearray(1 << 30)
    elif request["end"] == "hang":
        time.sleep(600)
    elif request["end"] == "work":
        for _ in range(16):
            time.sleep(0.3)
            replies.alive()


if __name__ == "__main__":
    serve(work)
