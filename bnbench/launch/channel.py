"""Messages between a parent and its worker process: pickles over a socket that both have from the start."""

import pickle
import socket
import struct
from typing import Any

LENGTH = struct.Struct("!Q")


class Channel:
    """One end of a socket pair. `multiprocessing.connection.wait` takes its `socket`."""

    def __init__(self, end: socket.socket) -> None:
        self.socket = end

    def send(self, message: Any) -> None:
        """Raises OSError where the other end is gone."""
        contents = pickle.dumps(message)
        self.socket.sendall(LENGTH.pack(len(contents)) + contents)

    def receive(self) -> Any:
        """The next message, whole. Raises EOFError or OSError where the other end is gone."""
        (length,) = LENGTH.unpack(self._read(LENGTH.size))
        return pickle.loads(self._read(length))

    def _read(self, length: int) -> bytes:
        contents = bytearray()
        while len(contents) < length:
            part = self.socket.recv(length - len(contents))
            if not part:
                raise EOFError
            contents += part
        return bytes(contents)

    def close(self) -> None:
        self.socket.close()
