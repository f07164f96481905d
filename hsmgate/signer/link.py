"""The socket to the gateway."""

import socket
import threading
from collections.abc import Iterator

from hsmgate.ipc.frames import KIB, FrameReader, frame
from hsmgate.ipc.messages import FromSigner, ToSigner, decode_to_signer, encode


class Link:
    """The socket to the gateway. Threads may send at the same time, but one at a time must receive."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._socket = socket.socket(fileno=fd)
        self._sending = threading.Lock()
        self._reader = FrameReader()

    def send(self, message: FromSigner) -> None:
        """Send a message whole. Raises OSError."""
        data = frame(encode(message))
        with self._sending:
            self._socket.sendall(data)

    def receive(self, *, wait: bool = True) -> Iterator[ToSigner]:
        """The messages that are whole with what has come. wait: until something has.

        Raises FrameError, or ConnectionError where the gateway has hung up.
        """
        try:
            data = self._socket.recv(256 * KIB, 0 if wait else socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        if not data:
            raise ConnectionResetError("the gateway has hung up")
        for message in self._reader.feed(data):
            yield decode_to_signer(message)
