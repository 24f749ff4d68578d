"""A way to a server that can be closed: for those who use it, the server then fails."""

from __future__ import annotations

import contextlib
import select
import socket
import threading


class Gate(threading.Thread):
    """Stands before a server and, while `closed`, hangs up on everybody: a storage that fails."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.closed = False
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.refused = 0

    def close(self) -> None:
        """Hang up on everybody, and on everybody who comes."""
        self.closed = True

    def open(self) -> None:
        """Let them through again."""
        self.closed = False

    def end(self) -> None:
        """Stop for ever."""
        self.closed = True
        self._listener.close()

    def run(self) -> None:
        """Accept until the listener is closed."""
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.closed:
                self.refused += 1
                client.close()
                continue
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._target)) as server:
            other = threading.Thread(target=self._pump, args=(server, client), daemon=True)
            other.start()
            self._pump(client, server)
            other.join()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                if self.closed:
                    break
                if not select.select([source], [], [], 0.2)[0]:
                    continue
                if not (chunk := source.recv(1 << 16)):
                    break
                sink.sendall(chunk)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
