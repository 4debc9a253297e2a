"""A daemon for tests on 127.0.0.1: it behaves as a test wants, genuine or hostile, and records what it receives."""

import base64
import contextlib
import errno
import hashlib
import hmac
import json
import os
import secrets
import socket
import struct
import tempfile
import threading
import unittest

from cadzero_auth import Client

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10

HEADER = {'headers': {'Authorization': 'Bearer abc'}, 'expiresAt': 1}


class FakeDaemon:
    """Listens, writes a discovery file, and calls `behave(daemon, connection, head)` for each upgrade request."""

    def __init__(self, behave):
        self.behave = behave
        self.received = bytearray()
        self.connections = 0
        self._open = []
        self._pause = threading.Event()
        self.key = secrets.token_bytes(32)
        self.instance = base64url(secrets.token_bytes(16))
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.authority = f'127.0.0.1:{self._listener.getsockname()[1]}'
        self._folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self._folder.name, 'endpoint.json')
        self.write_discovery_file()
        threading.Thread(target=self._accept, daemon=True).start()

    def document(self, **changes):
        """Returns the content of the discovery file."""
        return {
            'version': 1,
            'pid': os.getpid(),
            'endpoint': self.authority,
            'path': '/rpc',
            'instance': self.instance,
            'key': base64url(self.key),
            'startedAt': '2026-01-01T00:00:00Z',
            'daemonVersion': '1.0.0',
            **changes,
        }

    def write_discovery_file(self, mode=0o600, **changes):
        with open(self.path, 'w', encoding='utf-8') as file:
            json.dump(self.document(**changes), file)
        os.chmod(self.path, mode)

    def upgrade_response(self, head):
        """Returns the response of a genuine daemon to the request `head`, as bytes."""
        return encode_head(self.upgrade_headers(head))

    def upgrade_headers(self, head):
        """Returns the headers of a genuine daemon's response, as a list of name and value."""
        fields = dict(line.split(': ', 1) for line in head.split('\r\n')[1:] if ': ' in line)
        nonce = fields['Authorization'].split('nonce="')[1].split('"')[0]
        message = '\n'.join(('server', self.authority, self.instance, nonce)).encode()
        accept = hashlib.sha1((fields['Sec-WebSocket-Key'] + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest()
        return [
            ('Upgrade', 'websocket'),
            ('Connection', 'Upgrade'),
            ('Sec-WebSocket-Accept', base64.b64encode(accept).decode()),
            ('Sec-WebSocket-Protocol', 'cadzero-auth.v1'),
            ('CadzeroAuth-Proof', base64url(hmac.new(self.key, message, hashlib.sha256).digest())),
        ]

    def read_frame(self, connection):
        """Returns the opcode and the unmasked data of the client's next frame; None at the end."""
        head = self._read(connection, 2)
        if head is None:
            return None
        size = head[1] & 0x7F
        if size == 126:
            size = struct.unpack('!H', self._read(connection, 2))[0]
        elif size == 127:
            size = struct.unpack('!Q', self._read(connection, 8))[0]
        mask = self._read(connection, 4)
        data = self._read(connection, size) if size else b''
        return head[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))

    def read_call(self, connection):
        """Returns the client's next call. Raises OSError, which ends the connection, if the client closes it."""
        received = self.read_frame(connection)
        if received is None or received[0] != TEXT:
            raise OSError('the client closed the connection')
        return json.loads(received[1])

    def stop_listening(self):
        # Without shutdown(), the thread in accept() keeps a closed socket open.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def close(self):
        self.stop_listening()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()
        self._folder.cleanup()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if error.errno not in (errno.EMFILE, errno.ENFILE):
                    return
                self._pause.wait(0.01)  # as a real daemon: the connection waits in the backlog
                continue
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            head = b''
            while b'\r\n\r\n' not in head:
                data = connection.recv(4096)
                if not data:
                    return
                head += data
            self.received += head
            self.behave(self, connection, head.decode())
        except OSError:
            pass

    def _read(self, connection, size):
        data = b''
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                return None
            data += more
        self.received += data
        return data


class ClientTestCase(unittest.TestCase):
    """A test case that runs a client against a FakeDaemon."""

    def serve(self, behave):
        """Starts a daemon and a client of it; both are closed at the end of the test."""
        daemon = FakeDaemon(behave)
        self.addCleanup(daemon.close)
        client = Client(start=False, discovery=daemon.path)
        self.addCleanup(client.close)
        return daemon, client


def genuine(talk):
    """Returns the behaviour of a daemon that proves itself and then runs `talk(daemon, connection)`."""

    def behave(daemon, connection, head):
        connection.sendall(daemon.upgrade_response(head))
        talk(daemon, connection)

    return behave


def answer_all(daemon, connection):
    """Answers every call with HEADER until the client closes the connection."""
    while True:
        connection.sendall(encode_frame(result_of(daemon.read_call(connection), HEADER)))


def never_answer(daemon, connection):
    """Reads until the client closes the connection."""
    while daemon.read_frame(connection) is not None:
        pass


def encode_head(headers):
    lines = ['HTTP/1.1 101 Switching Protocols', *(f'{name}: {value}' for name, value in headers), '', '']
    return '\r\n'.join(lines).encode()


def encode_frame(data, opcode=TEXT, final=True, masked=False):
    first, size = (0x80 if final else 0) | opcode, len(data)
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack('!BB', first, mask | size)
    elif size < 1 << 16:
        head = struct.pack('!BBH', first, mask | 126, size)
    else:
        head = struct.pack('!BBQ', first, mask | 127, size)
    return head + (b'\0\0\0\0' if masked else b'') + data


def encode_json(value):
    return encode_frame(json.dumps(value).encode())


def result_of(call, result):
    return json.dumps({'jsonrpc': '2.0', 'id': call['id'], 'result': result}).encode()


def base64url(data):
    return base64.urlsafe_b64encode(data).decode().rstrip('=')
