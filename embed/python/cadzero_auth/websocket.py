"""A WebSocket (RFC 6455) to the daemon, opened by an upgrade in which both sides prove themselves."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
import socket
import struct
import time
from collections.abc import Iterator
from typing import NamedTuple

from .discovery import Endpoint, base64url
from .errors import NoDaemonError, NotGenuineError
from .reachability import connection_error

SUBPROTOCOL = 'cadzero-auth.v1'
TCP_CONNECT_SECONDS = 2.0  # the system accepts on loopback within milliseconds; a firewall that drops never does
MAX_MESSAGE_BYTES = 1024 * 1024
MAX_HEAD_BYTES = 16 * 1024
MAX_CONTROL_BYTES = 125  # RFC 6455 section 5.5

CONTINUATION, TEXT, CLOSE, PING, PONG = 0, 1, 8, 9, 10


class ProtocolError(Exception):
    """The connection was closed, or the server broke RFC 6455."""


class WebSocket:
    """An open connection whose server has proved that it is the daemon. Its socket does not block."""

    def __init__(self, endpoint: Endpoint, deadline: float) -> None:
        """Connects and upgrades until `deadline`, a value of time.monotonic().

        Raises NoDaemonError if the connection is refused or dropped, or if the server does not answer; and
        NotGenuineError if it answers without the proof that it is the daemon.
        """
        self._output = bytearray()
        self._message: bytearray | None = None  # of a message whose final frame has not arrived
        try:
            patience = min(TCP_CONNECT_SECONDS, _seconds_left(deadline))
            self._socket = socket.create_connection(('127.0.0.1', endpoint.port), patience)
        except OSError as error:
            raise connection_error(endpoint, error) from None
        try:
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._input = _upgrade(self._socket, endpoint, deadline)
            self._socket.setblocking(False)
        except BaseException as error:
            self._socket.close()
            if isinstance(error, OSError):
                raise _no_answer() from None
            raise

    def fileno(self) -> int:
        """Returns the descriptor for a selector."""
        return self._socket.fileno()

    @property
    def wants_to_send(self) -> bool:
        """Whether `send` has bytes to write."""
        return bool(self._output)

    def queue(self, text: str) -> None:
        """Queues a text message; `send` writes it."""
        self._output += encode_frame(TEXT, text.encode())

    def send(self) -> None:
        """Writes as many queued bytes as the socket takes now. Raises OSError if the connection is broken."""
        try:
            sent = self._socket.send(self._output)
        except BlockingIOError:
            return
        del self._output[:sent]

    def read(self) -> None:
        """Reads the bytes that have arrived. Raises ProtocolError at the end of the connection, OSError if it broke."""
        try:
            data = self._socket.recv(65536)
        except BlockingIOError:
            return
        if not data:
            raise ProtocolError('the connection was closed')
        self._input += data

    def messages(self) -> Iterator[str]:
        """Yields the complete messages read so far. Raises ProtocolError at an invalid frame and at a close frame."""
        while True:
            frame = take_frame(self._input)
            if frame is None:
                return
            message = self._receive(frame)
            if message is not None:
                yield message

    def close(self) -> None:
        """Sends a close frame if the socket takes it now, and closes the socket."""
        try:
            self._output += encode_frame(CLOSE, struct.pack('!H', 1000))
            self.send()
        except OSError:
            pass  # broken already
        self._socket.close()

    def _receive(self, frame: Frame) -> str | None:
        if frame.opcode >= CLOSE:
            self._receive_control(frame)
            return None
        if (frame.opcode == CONTINUATION) != (self._message is not None) or frame.opcode not in (CONTINUATION, TEXT):
            raise ProtocolError('a frame out of sequence or not text')
        message = self._message or bytearray()
        message += frame.data
        if len(message) > MAX_MESSAGE_BYTES:
            raise ProtocolError('a message that is too large')
        self._message = None if frame.final else message
        if not frame.final:
            return None
        try:
            return message.decode()
        except UnicodeDecodeError:
            raise ProtocolError('a message that is not UTF-8') from None

    def _receive_control(self, frame: Frame) -> None:
        if not frame.final or len(frame.data) > MAX_CONTROL_BYTES:
            raise ProtocolError('a control frame that is fragmented or too large')
        if frame.opcode == CLOSE:
            raise ProtocolError('the connection was closed')
        if frame.opcode == PING:
            self._output += encode_frame(PONG, frame.data)


class Frame(NamedTuple):
    """A frame of the server."""

    final: bool
    opcode: int
    data: bytes


def take_frame(buffer: bytearray) -> Frame | None:
    """Removes the first frame from `buffer` and returns it; None if it has not arrived completely.

    Raises ProtocolError if a server may not send it: masked, with an extension's bits, or too large.
    """
    if len(buffer) < 2:
        return None
    first, second = buffer[0], buffer[1]
    size, start = second & 0x7F, 2
    if first & 0x70 or second & 0x80:
        raise ProtocolError('a frame that a server may not send')
    if size >= 126:
        start = 4 if size == 126 else 10
        if len(buffer) < start:
            return None
        size = int.from_bytes(buffer[2:start], 'big')
    if size > MAX_MESSAGE_BYTES:
        raise ProtocolError('a frame that is too large')
    end = start + size
    if len(buffer) < end:
        return None
    data = bytes(buffer[start:end])
    del buffer[:end]
    return Frame(bool(first & 0x80), first & 0x0F, data)


def encode_frame(opcode: int, data: bytes) -> bytes:
    """Returns the final frame of a client, masked as RFC 6455 section 5.3 requires."""
    mask, size = secrets.token_bytes(4), len(data)
    if size < 126:
        head = struct.pack('!BB', 0x80 | opcode, 0x80 | size)
    elif size < 1 << 16:
        head = struct.pack('!BBH', 0x80 | opcode, 0x80 | 126, size)
    else:
        head = struct.pack('!BBQ', 0x80 | opcode, 0x80 | 127, size)
    # One XOR of two large integers is many times faster than one per byte.
    repeated = (mask * (size // 4 + 1))[:size]
    masked = (int.from_bytes(data, 'big') ^ int.from_bytes(repeated, 'big')).to_bytes(size, 'big')
    return head + mask + masked


def not_genuine() -> NotGenuineError:
    """Returns the error for a server that did not prove itself."""
    return NotGenuineError('the server that answered is not the genuine daemon')


def _no_answer() -> NoDaemonError:
    """Returns the error for a server that hangs, or closes the connection, before it has proved anything."""
    return NoDaemonError('a program listens on the port of the daemon, but does not answer', 'no_answer')


def _upgrade(connection: socket.socket, endpoint: Endpoint, deadline: float) -> bytearray:
    """Upgrades the connection and verifies the daemon's proof; returns the bytes that followed the response's head."""
    nonce, key = base64url(secrets.token_bytes(16)), base64.b64encode(secrets.token_bytes(16)).decode()
    credentials = f'instance="{endpoint.instance}", nonce="{nonce}", mac="{endpoint.mac("client", nonce)}"'
    connection.settimeout(_seconds_left(deadline))
    connection.sendall(
        f'GET {endpoint.path} HTTP/1.1\r\n'
        f'Host: {endpoint.authority}\r\n'
        'Upgrade: websocket\r\n'
        'Connection: Upgrade\r\n'
        'Sec-WebSocket-Version: 13\r\n'
        f'Sec-WebSocket-Key: {key}\r\n'
        f'Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n'
        f'Authorization: CadzeroAuth {credentials}\r\n\r\n'.encode()
    )
    head, rest = _read_head(connection, deadline)
    status, headers = parse_head(head)
    accept = hashlib.sha1((key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode(), usedforsecurity=False).digest()
    proof = headers.get('cadzeroauth-proof', '')
    genuine = hmac.compare_digest(proof.encode(), endpoint.mac('server', nonce).encode())
    if not (
        genuine
        and status == 101
        and headers.get('upgrade', '').lower() == 'websocket'
        and headers.get('connection', '').lower() == 'upgrade'
        and headers.get('sec-websocket-accept') == base64.b64encode(accept).decode()
        and headers.get('sec-websocket-protocol') == SUBPROTOCOL
        and 'sec-websocket-extensions' not in headers
    ):
        raise not_genuine()
    return rest


def _read_head(connection: socket.socket, deadline: float) -> tuple[bytes, bytearray]:
    received = bytearray()
    while b'\r\n\r\n' not in received:
        if len(received) > MAX_HEAD_BYTES:
            raise not_genuine()
        connection.settimeout(_seconds_left(deadline))
        data = connection.recv(4096)
        if not data:
            raise _no_answer()
        received += data
    head, _, rest = received.partition(b'\r\n\r\n')
    return bytes(head), rest


def parse_head(head: bytes) -> tuple[int, dict[str, str]]:
    """Returns the status (0 if the first line is not HTTP/1.1) and the headers of a response, names in lower case.

    Raises NotGenuineError at a line that is no header and at a header that is repeated, whatever its values: which of
    two proofs counts must not depend on the reader.
    """
    lines = head.decode('latin-1').split('\r\n')
    match = re.fullmatch(r'HTTP/1\.1 ([0-9]{3})(?: .*)?', lines[0])
    headers: dict[str, str] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(':')
        if not colon or name.lower() in headers:
            raise not_genuine()
        headers[name.lower()] = value.strip()
    return (int(match.group(1)) if match else 0), headers


def _seconds_left(deadline: float) -> float:
    """Returns the seconds until `deadline`. Raises TimeoutError, an OSError, if it has passed."""
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left
