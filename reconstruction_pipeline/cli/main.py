"""The command line's frame: commands, exit codes, one-sentence errors."""

from __future__ import annotations

import sys
import traceback
from typing import Any

import typer

from reconstruction_pipeline.artifacts.errors import ReconstructionError
from reconstruction_pipeline.cli import exports, machine, scenes, serving, splat_files, training

INTERRUPTED = 130
USAGE = 2
BUG = 1
# Typer's errors of usage are click's, or those of a copy of click inside newer versions of Typer.
CommandError: type[Exception] = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")

app = typer.Typer(
    name="reconstruct",
    help="Turn a video or a folder of photos into a 3D Gaussian splat, a mesh and a page that shows them.",
    epilog="Exit codes: 0 done, 2 bad usage or unusable input, 3 a later quality gate stopped the line, "
    "4 something is missing on this machine, 130 interrupted.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def options(debug: bool = typer.Option(False, "--debug", help="Show the traceback of an error.")) -> None:
    """Options of every command."""


scenes.add_commands(app)
training.add_commands(app)
splat_files.add_commands(app)
exports.add_commands(app)
machine.add_commands(app)
serving.add_commands(app)


def main(argv: list[str] | None = None) -> None:
    """Entry point: runs a command and ends the process with its exit code."""
    arguments = sys.argv[1:] if argv is None else argv
    debug = "--debug" in arguments
    # Accepted anywhere, as people add it to the end of the command that failed.
    arguments = (["--debug"] if debug else []) + [a for a in arguments if a != "--debug"]
    try:
        code = app(args=arguments, prog_name="reconstruct", standalone_mode=False)
        if code == INTERRUPTED:  # newer versions of Typer return it and say nothing
            raise KeyboardInterrupt
        sys.exit(code if isinstance(code, int) else 0)
    except ReconstructionError as error:
        _fail(str(error), error.exit_code, debug)
    except CommandError as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # the help is on the terminal already
            sys.exit(USAGE)
        _fail(_usage_sentence(error), USAGE, debug)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted; nothing half-made was kept.", INTERRUPTED, debug)
    except BrokenPipeError:
        sys.exit(BUG)
    except Exception as error:
        _fail(f"unexpected {type(error).__name__}: {error}. Run again with --debug for the traceback.", BUG, debug)


def _usage_sentence(error: Any) -> str:
    text = " ".join(str(error.format_message()).split()).replace("Value error, ", "").rstrip(".")
    command = error.ctx.command_path if getattr(error, "ctx", None) else "reconstruct"
    return f"{text}; see '{command} --help'."


def _fail(sentence: str, code: int, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    print(f"error: {sentence}", file=sys.stderr)
    sys.exit(code)
