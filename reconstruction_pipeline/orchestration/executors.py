"""Where steps run: processes of this machine; `reconstruct run` uses its own process instead.

How many heavy steps run at a time is the pool's business (`names.GPU_POOL`): it holds over all runs.
"""

from __future__ import annotations

from typing import Any

import dagster as dg

local_processes = dg.multi_or_in_process_executor
IN_PROCESS_CONFIG: dict[str, Any] = {"config": {"in_process": {}}}
