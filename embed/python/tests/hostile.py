"""Servers that are not the daemon, and a daemon that misbehaves: each for one test, on 127.0.0.1."""

import base64
import hashlib
import hmac
import json
import os
import secrets
import socket
import struct
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..'))

ACCEPT = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'


def encode(data):
    return base64.urlsafe_b64encode(data).decode().rstrip('=')


class Server:
    """Listens, writes the discovery file, and lets `behave(connection, key, head)` do what the test wants."""

    def __init__(self, behave, mode=0o600):
        self.behave = behave
        self.received = bytearray()
        self.connections = 0
        self._open = []
        self.key = secrets.token_bytes(32)
        self.instance = encode(secrets.token_bytes(16))
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.authority = '127.0.0.1:%d' % self.listener.getsockname()[1]
        self.folder = tempfile.TemporaryDirectory()
        self.path = os.path.join(self.folder.name, 'endpoint.json')
        self.write(mode=mode)
        threading.Thread(target=self._accept, daemon=True).start()

    def write(self, mode=0o600, **over):
        value = {
            'version': 1,
            'pid': os.getpid(),
            'endpoint': self.authority,
            'path': '/rpc',
            'instance': self.instance,
            'key': encode(self.key),
            'startedAt': '2026-01-01T00:00:00Z',
            'daemonVersion': '1.0.0',
        }
        value.update(over)
        with open(self.path, 'w') as file:
            json.dump(value, file)
        os.chmod(self.path, mode)

    def _accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
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

    def answer(self, head, proof=True, accept=True, protocol='cadzero-auth.v1', more=''):
        """The answer of a genuine daemon, or one that is a little off."""
        fields = dict(line.split(': ', 1) for line in head.split('\r\n')[1:] if ': ' in line)
        nonce = fields['Authorization'].split('nonce="')[1].split('"')[0]
        message = '\n'.join(('server', self.authority, self.instance, nonce)).encode()
        mac = encode(hmac.new(self.key if proof else secrets.token_bytes(32), message, hashlib.sha256).digest())
        text = fields['Sec-WebSocket-Key'] + (ACCEPT if accept else '')
        accepted = base64.b64encode(hashlib.sha1(text.encode()).digest()).decode()
        return (
            'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
            f'Sec-WebSocket-Accept: {accepted}\r\nSec-WebSocket-Protocol: {protocol}\r\n'
            f'CadzeroAuth-Proof: {mac}\r\n{more}\r\n'
        ).encode()

    def read_frame(self, connection):
        """A client's frame, unmasked; None at the end."""
        head = self._exactly(connection, 2)
        if head is None:
            return None
        size = head[1] & 0x7F
        if size == 126:
            size = struct.unpack('!H', self._exactly(connection, 2))[0]
        mask = self._exactly(connection, 4)
        data = self._exactly(connection, size) if size else b''
        return head[0] & 0x0F, bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))

    def read_call(self, connection):
        """A client's call; ends the conversation where it says something else."""
        received = self.read_frame(connection)
        if received is None or received[0] != 1:
            raise OSError('the client has left')
        return json.loads(received[1])

    def stop_listening(self):
        # A thread that waits in accept() would keep a socket open that is merely closed.
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()

    def _exactly(self, connection, size):
        data = b''
        while len(data) < size:
            more = connection.recv(size - len(data))
            if not more:
                return None
            data += more
        self.received += data
        return data

    def close(self):
        self.stop_listening()
        for connection in self._open:
            connection.close()
        self.folder.cleanup()


def frame(data, opcode=1, final=True, masked=False):
    first, size = (0x80 if final else 0) | opcode, len(data)
    mask = 0x80 if masked else 0
    if size < 126:
        head = struct.pack('!BB', first, mask | size)
    elif size < 1 << 16:
        head = struct.pack('!BBH', first, mask | 126, size)
    else:
        head = struct.pack('!BBQ', first, mask | 127, size)
    return head + (b'\0\0\0\0' if masked else b'') + data


def reply(call, result):
    return json.dumps({'jsonrpc': '2.0', 'id': call['id'], 'result': result}).encode()
