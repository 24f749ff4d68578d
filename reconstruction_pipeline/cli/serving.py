"""`reconstruct serve`: the page and API for people without Dagster, and the Dagster behind it, in one command."""

from __future__ import annotations

import contextlib
import importlib.util
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from reconstruction_pipeline.artifacts.errors import MissingRequirement, UsageError
from reconstruction_pipeline.cli import dagster_services

if TYPE_CHECKING:
    from reconstruction_pipeline.settings import Settings

LOOPBACK = ("127.0.0.1", "localhost", "::1")
NEEDED = ("fastapi", "uvicorn", "python_multipart", "websockets")


def serve(
    port: int = typer.Option(8000, help="Port of the page."),
    host: str = typer.Option("127.0.0.1", help="Address to listen on; any but this machine's own needs tokens."),
    dagster: str = typer.Option(
        "", metavar="URL", help="A Dagster webserver that already runs on this instance; default: start one."
    ),
    dagster_port: int = typer.Option(3000, help="Port of the Dagster that is started, on this machine only."),
) -> None:
    """Serve a page where videos are dropped and scenes opened, and its API (Ctrl-C stops; runs at work go on).

    Example: reconstruct serve, then open http://127.0.0.1:8000
    """
    _require_installed()
    from reconstruction_pipeline.settings import load_settings

    settings = load_settings()
    if host not in LOOPBACK and not settings.web.tokens:
        raise UsageError(
            f"--host {host}: anyone who reaches it could start and delete; set RECONSTRUCTION_TOKENS first"
            " (role:token, see docs/serve.md), or leave the address as it is."
        )
    _require_free(host, port)
    # However we are asked to end, Dagster is to be ended too.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), _dagster(settings, dagster.rstrip("/"), dagster_port) as url:
        _serve(settings, host, port, url)


def _serve(settings: Settings, host: str, port: int, url: str) -> None:
    import uvicorn

    from reconstruction_pipeline.orchestration.instance import open_instance
    from reconstruction_pipeline.web.app import make_app
    from reconstruction_pipeline.web.launching import GraphQLLauncher

    with open_instance() as instance:
        app = make_app(settings, instance, GraphQLLauncher(url), host=host, ui_url=settings.operation.ui_url or url)
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws_max_size=1 << 16,
            timeout_keep_alive=20,
            timeout_graceful_shutdown=5,
        )
        shown = f"[{host}]" if ":" in host else host
        typer.echo(f"Scenes: http://{shown}:{port}   Dagster: {url}   storage: {settings.storage}")
        sys.stdout.flush()
        uvicorn.Server(config).run()


@contextlib.contextmanager
def _dagster(settings: Settings, given: str, port: int) -> Iterator[str]:
    """The address of a Dagster on this instance: the given one, the one that works there already, or one of our own."""
    if given:
        from reconstruction_pipeline.settings import use_dagster_home

        use_dagster_home(settings)
        yield given
        return
    port = port if _is_free("127.0.0.1", port) else _any_port()
    held = dagster_services.claim(settings, f"http://127.0.0.1:{port}")
    if held.descriptor is None:
        typer.echo(f"Dagster already works on this instance, at {held.url}: used as it is.")
        yield held.url
        return
    log = settings.dagster_home / "services.log"
    process = dagster_services.start(settings, held, "127.0.0.1", port, log)
    ending = threading.Event()

    def watch() -> None:
        process.wait()
        if not ending.is_set():
            print(f"error: Dagster has ended unexpectedly; {log} says why. Start this again.", file=sys.stderr)

    threading.Thread(target=watch, daemon=True).start()
    try:
        yield held.url
    finally:
        ending.set()
        dagster_services.stop(process)


def _require_installed() -> None:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingRequirement(
            f"{', '.join(missing)}: not installed; run 'pip install reconstruction-pipeline[web]'."
        )


def _require_free(host: str, port: int) -> None:
    if not _is_free(host, port):
        raise UsageError(f"port {port} of {host} is taken, or not ours to listen on; choose another with --port.")


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _any_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def add_commands(app: typer.Typer) -> None:
    """Register the command."""
    app.command()(serve)
