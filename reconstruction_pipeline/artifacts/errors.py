"""The errors a user sees: one sentence that names the thing, what is wrong and what to do.

Every error carries the exit code of the command line, so that the code is decided
where the cause is known and nowhere else.
"""

from __future__ import annotations


class ReconstructionError(Exception):
    """Base of all expected failures; its text is shown to the user as it is."""

    exit_code = 3


class UsageError(ReconstructionError):
    """The command was called with something that cannot mean anything."""

    exit_code = 2


class InputRejected(ReconstructionError):
    """The probe or keyframe selection refuses the input: nothing to reconstruct in it."""

    exit_code = 2


class StageFailed(ReconstructionError):
    """A stage ended without a usable result (no model, no surface, NaN, a dead child process)."""

    exit_code = 3


class InvalidArtifact(ReconstructionError):
    """Stored files are missing, damaged, of a wrong type or of a schema this version cannot read."""

    exit_code = 3


class MissingRequirement(ReconstructionError):
    """Something this machine lacks: a GPU, a system library, model weights, disk space."""

    exit_code = 4


class Cancelled(ReconstructionError):
    """The user interrupted the work; raised out of `Progress.report`."""

    exit_code = 130
