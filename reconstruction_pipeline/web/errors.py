"""What a client is told when something cannot be done: a status and one sentence, always as `{"detail": …}`."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from reconstruction_pipeline.artifacts.errors import InputRejected, ReconstructionError, UsageError


class Problem(BaseModel):
    """Why a request was not carried out."""

    detail: str = Field(description="One sentence: what is wrong, and what to do.")


class Refused(HTTPException):
    """A request that is answered with a status of 4xx or 5xx and a sentence."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        super().__init__(status, sentence, {name.replace("_", "-"): value for name, value in headers.items()})


def responses(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Documents statuses, for the `responses` of a route; those that any request may meet are added."""
    return {status: {"model": Problem, "description": MEANING[status]} for status in (401, 403, 422, 429, *statuses)}


MEANING = {
    400: "The request is malformed.",
    401: "A token is needed, or the given one is not known.",
    403: "The token's role does not allow this, or the request comes from another site's page.",
    404: "There is nothing under this name.",
    408: "Nothing arrived for too long; an upload can be resumed.",
    409: "Not in this state; the sentence says why.",
    410: "The upload was given up.",
    412: "Another version of the tus protocol.",
    413: "Too large.",
    415: "Another content type is needed.",
    416: "No such range of bytes.",
    422: "The input cannot be used; the sentence says why and what to do.",
    429: "Too many requests; wait as long as `Retry-After` says.",
    503: "Dagster does not answer now.",
    507: "The disk is too full.",
}


def add_handlers(app: FastAPI) -> None:
    """Turn this project's errors, and those of validation, into sentences."""

    def of_project(_: Request, error: Exception) -> JSONResponse:
        status = 422 if isinstance(error, InputRejected | UsageError) else 409
        return JSONResponse({"detail": str(error)}, status)

    def of_validation(_: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part != "body")
        return JSONResponse({"detail": f"{place or 'The request'}: {first['msg']}."}, 422)

    app.add_exception_handler(ReconstructionError, of_project)
    app.add_exception_handler(RequestValidationError, of_validation)
