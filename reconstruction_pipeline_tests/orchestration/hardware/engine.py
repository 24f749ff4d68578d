"""A Docker engine of the tests' own, and an image that is this machine's file system."""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker

IMAGE = "reconstruction/hostfs:test"
LINKS = {"bin": "usr/bin", "lib": "usr/lib", "lib64": "usr/lib64", "sbin": "usr/sbin"}


class CannotStart(RuntimeError):
    """This machine does not let an engine start (no privileges, no overlay file system)."""


@dataclass(frozen=True)
class Engine:
    """A running engine: its address, and a client of it."""

    url: str
    client: Any

    def import_host_image(self) -> None:
        """An image of empty folders; with `host_mounts` a container has exactly this machine's Python."""
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            for name in ("usr", "etc", "root", "proc", "sys", "dev", "run", "tmp", "var", "opt", "work", "home"):
                folder = tarfile.TarInfo(name)
                folder.type, folder.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(folder)
            for name, target in LINKS.items():
                link = tarfile.TarInfo(name)
                link.type, link.linkname = tarfile.SYMTYPE, target
                tar.addfile(link)
        path = f"ENV PATH={Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        repository, tag = IMAGE.split(":")
        self.client.api.import_image_from_data(out.getvalue(), repository=repository, tag=tag, changes=[path])


def host_mounts(*writable: Path) -> list[str]:
    """Volumes: the system, the environment and the checkout to read, and `writable` folders to write."""
    root = Path(__file__).resolve().parents[3]
    read = {"/usr", "/etc", sys.base_prefix, sys.prefix, str(root)}
    return [f"{path}:{path}:ro" for path in sorted(read)] + [f"{path}:{path}" for path in writable]


def why_not() -> str:
    """Why no engine can be started here; empty if one can."""
    if not shutil.which("dockerd"):
        return "dockerd is not installed (apt-get install docker.io)"
    if os.geteuid() != 0:
        return "dockerd has to be started by root"
    return ""


@contextmanager
def running_engine(folder: Path) -> Iterator[Engine]:
    """Start an engine with everything below `folder`, and end it by its process id.

    Without bridges and firewall rules: containers use the host's network.
    """
    (folder / "daemon.json").write_text("{}")
    url, log = f"unix://{folder}/docker.sock", folder / "dockerd.log"
    command = ["dockerd", "--data-root", folder / "data", "--exec-root", folder / "exec", "-p", folder / "docker.pid"]
    command += ["-H", url, "--config-file", folder / "daemon.json"]
    command += ["--iptables=false", "--ip6tables=false", "--bridge=none"]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        yield Engine(url, _client(url, process, log))
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)
        subprocess.run(["umount", folder / "exec" / "netns" / "default"], capture_output=True, check=False)


def _client(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 60) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        try:
            client = docker.DockerClient(url)
            client.ping()
            return client
        except docker.errors.DockerException:
            if process.poll() is not None or time.monotonic() > deadline:
                lines = [line for line in log.read_text().splitlines() if "level=error" in line or "failed" in line]
                raise CannotStart(f"dockerd cannot start here: {' '.join(lines[-2:])}") from None
            time.sleep(0.2)
