"""What is tried again, and what is not.

A retry policy repeats a step after any exception but `Failure(allow_retries=False)`. Only I/O errors and killed
processes are worth it: a stage's refusal, a missing input or a bug would cost the same time once more.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import dagster as dg

from reconstruction_pipeline.artifacts.errors import Cancelled, ReconstructionError, StageFailed
from reconstruction_pipeline.orchestration.stage_process import TransientFailure

FAR = ("botocore", "aiobotocore", "aiohttp", "urllib3", "requests", "gcsfs", "google", "azure", "adlfs")
"""Packages of the object stores' clients, whose errors are not `OSError`s where a connection fails."""

RETRIES = dg.RetryPolicy(max_retries=2, delay=10, backoff=dg.Backoff.EXPONENTIAL, jitter=dg.Jitter.PLUS_MINUS)


@contextmanager
def no_retry() -> Iterator[None]:
    """Turn every error that another attempt would meet again into a final one, with its sentence."""
    try:
        yield
    except (Cancelled, TransientFailure, dg.Failure, OSError):
        raise
    except Exception as error:
        if is_far(error):
            raise
        raise dg.Failure(f"{_kind(error)}{error}", allow_retries=False) from error


@contextmanager
def last_attempt_is_final(context: dg.AssetExecutionContext) -> Iterator[None]:
    """Turn a transient error of the last attempt into the `StageFailed` that it has become."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, TransientFailure | OSError) and not is_far(error):
            raise
        if context.retry_number < RETRIES.max_retries:
            raise
        raise StageFailed(
            f"{context.partition_key}: {context.asset_key.path[-1]} was tried {context.retry_number + 1} times: "
            f"{str(error).rstrip('.')}; free memory and disk, or choose a smaller preset."
        ) from error


def is_far(error: BaseException) -> bool:
    """Whether an object store's client says that it cannot reach its server."""
    return type(error).__module__.partition(".")[0] in FAR


def _kind(error: Exception) -> str:
    return "" if isinstance(error, ReconstructionError) else f"unexpected {type(error).__name__}: "
