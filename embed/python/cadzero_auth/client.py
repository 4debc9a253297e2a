"""The add-in's client of cadzero-auth: asks the daemon on this computer for Authorization headers.

One file, the standard library alone, Python 3.9 and newer. It speaks JSON-RPC 2.0 over a WebSocket to 127.0.0.1, and
neither side says anything before the other has proved that it can read the user's own discovery file.

    client = Client()
    headers = client.get_auth_header(interactive=False)   # {'Authorization': 'Bearer …'}

A background thread owns the connection. Every method may be called from any thread, and none waits longer than its
`timeout`, in seconds. Listeners are called in the background thread: in Fusion, hand over to the main thread with a
custom event, and touch nothing of `adsk` there.
"""

import base64
import collections
import hashlib
import hmac
import json
import logging
import os
import re
import secrets
import select
import shutil
import socket
import stat
import struct
import subprocess
import sys
import threading
import time
from typing import Any, Callable, Deque, Dict, Iterator, List, Optional, Sequence, Tuple, Union

__all__ = [
    'AuthError', 'Client', 'ConfigurationError', 'ConnectionLostError', 'DaemonTimeoutError', 'InteractionRequiredError',
    'NoDaemonError', 'NotGenuineError', 'ProviderRejectedError', 'ShuttingDownError', 'SignInFailedError',
    'StoreUnavailableError', 'TemporarilyUnavailableError', 'discovery_file', 'find_command',
]

log = logging.getLogger('cadzero_auth')

SUBPROTOCOL = 'cadzero-auth.v1'
CONNECT_SECONDS = 5.0
START_SECONDS = 15.0  # a keyring may want a moment
START_AGAIN_SECONDS = 30.0  # a daemon that does not start is not started by every call
LONGEST_PAUSE = 30.0  # between two attempts to reconnect
LARGEST_MESSAGE = 1024 * 1024
LARGEST_HEAD = 16 * 1024
LARGEST_FILE = 4096


# --- errors ---------------------------------------------------------------------------------------------------------


class AuthError(Exception):
    """Something went wrong. `code` and `reason` are those of the wire contract, where the daemon said so."""

    def __init__(self, message: str, code: Optional[int] = None, data: Optional[Dict[str, Any]] = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data or {}

    @property
    def reason(self) -> Optional[str]:
        reason = self.data.get('reason')
        return reason if isinstance(reason, str) else None


class NoDaemonError(AuthError):
    """No daemon runs, and none could be started."""


class NotGenuineError(AuthError):
    """What answered is not the user's daemon. Nothing was said to it."""


class ConnectionLostError(AuthError):
    """The daemon ended, or was replaced, before it answered."""


class DaemonTimeoutError(AuthError):
    """No answer came in the time that the caller gave."""


class InteractionRequiredError(AuthError):
    """A person must sign in."""


class SignInFailedError(AuthError):
    """The sign-in was cancelled, declined, or took too long."""


class TemporarilyUnavailableError(AuthError):
    """The network or Clerk; nobody was signed out."""

    @property
    def retry_after_seconds(self) -> Optional[float]:
        value = self.data.get('retryAfterSeconds')
        return float(value) if isinstance(value, (int, float)) else None


class ProviderRejectedError(AuthError):
    """The set-up is wrong; signing in again would not help."""


class StoreUnavailableError(AuthError):
    """The session cannot be read or written now, for example because the keyring is locked."""


class ShuttingDownError(AuthError):
    """The daemon is about to end."""


class ConfigurationError(AuthError):
    """A setting is wrong: `data['setting']`."""


_ERRORS = {
    1001: InteractionRequiredError,
    1002: SignInFailedError,
    1003: TemporarilyUnavailableError,
    1004: ProviderRejectedError,
    1005: StoreUnavailableError,
    1006: ShuttingDownError,
    1007: ConfigurationError,
}


def _error_of(error: Any) -> AuthError:
    if not isinstance(error, dict):
        return AuthError('the daemon gave no usable answer')
    code, data = error.get('code'), error.get('data')
    kind = _ERRORS.get(code, AuthError) if isinstance(code, int) else AuthError
    return kind(str(error.get('message')), code, data if isinstance(data, dict) else None)


# --- where the daemon is --------------------------------------------------------------------------------------------


def discovery_file() -> str:
    """Where the daemon says how it is reached: the very path that the daemon itself comes to."""
    home = os.environ.get('CADZERO_AUTH_HOME')
    if home:
        return os.path.join(home, 'data', 'endpoint.json')
    user = os.path.expanduser('~')
    if sys.platform == 'win32':
        local = os.environ.get('LOCALAPPDATA') or os.path.join(user, 'AppData', 'Local')
        return os.path.join(local, 'cadzero-auth', 'Data', 'endpoint.json')
    if sys.platform == 'darwin':
        return os.path.join(user, 'Library', 'Application Support', 'cadzero-auth', 'endpoint.json')
    data = os.environ.get('XDG_DATA_HOME') or os.path.join(user, '.local', 'share')
    return os.path.join(data, 'cadzero-auth', 'endpoint.json')


class _Endpoint:
    """What the discovery file says, checked."""

    def __init__(self, value: Any) -> None:
        if not isinstance(value, dict) or value.get('version') != 1:
            raise ValueError('version')
        self.authority = self._text(value, 'endpoint', r'127\.0\.0\.1:[0-9]{1,5}')
        self.path = self._text(value, 'path', r'/[A-Za-z0-9/_.-]{0,100}')
        self.instance = self._text(value, 'instance', r'[A-Za-z0-9_-]{22}')
        self._key = base64.urlsafe_b64decode(self._text(value, 'key', r'[A-Za-z0-9_-]{43}') + '=')
        self.port = int(self.authority.rpartition(':')[2])

    @staticmethod
    def _text(value: Dict[str, Any], name: str, pattern: str) -> str:
        text = value.get(name)
        if not isinstance(text, str) or not re.fullmatch(pattern, text):
            raise ValueError(name)
        return text

    def mac(self, role: str, nonce: str) -> str:
        message = '\n'.join((role, self.authority, self.instance, nonce)).encode()
        return _encode(hmac.new(self._key, message, hashlib.sha256).digest())


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip('=')


def _read_endpoint(path: str) -> _Endpoint:
    """Raises NoDaemonError where there is none, NotGenuineError where others could have written or read it."""
    flags = os.O_RDONLY | getattr(os, 'O_NOFOLLOW', 0) | getattr(os, 'O_NONBLOCK', 0) | getattr(os, 'O_BINARY', 0)
    try:
        handle = os.open(path, flags)
    except FileNotFoundError:
        raise NoDaemonError('no daemon is running') from None
    except OSError:
        raise NotGenuineError('the discovery file cannot be read, or is a link') from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise NotGenuineError('the discovery file is no plain file')
        if hasattr(os, 'getuid') and (found.st_uid != os.getuid() or found.st_mode & 0o077):
            raise NotGenuineError('the discovery file is not this user’s alone')
        text = os.read(handle, LARGEST_FILE)
    finally:
        os.close(handle)
    try:
        return _Endpoint(json.loads(text))
    except ValueError:
        raise NoDaemonError('the discovery file is not one') from None


def find_command(command: Union[str, Sequence[str], None] = None) -> Optional[List[str]]:
    """The program that starts the daemon, as the arguments of a process; None where it is not installed.

    `CADZERO_AUTH_COMMAND` goes first (an absolute path, or a JSON list that begins with one), then `command`, then where
    installers put it.
    """
    given = os.environ.get('CADZERO_AUTH_COMMAND')
    if given:
        try:
            command = json.loads(given) if given.startswith('[') else given
        except ValueError:
            return None
    if command:
        arguments = [command] if isinstance(command, str) else [str(part) for part in command]
        return arguments if os.path.isabs(arguments[0]) and os.path.exists(arguments[0]) else None
    places = [shutil.which('cadzero-auth')]
    user = os.path.expanduser('~')
    if sys.platform == 'win32':
        for root in (os.environ.get('LOCALAPPDATA'), os.environ.get('ProgramFiles')):
            if root:
                places.append(os.path.join(root, 'Programs', 'cadzero-auth', 'cadzero-auth.exe'))
                places.append(os.path.join(root, 'cadzero-auth', 'cadzero-auth.exe'))
    else:
        folders = (os.path.join(user, '.local', 'bin'), '/usr/local/bin', '/opt/homebrew/bin', '/usr/bin')
        places.extend(os.path.join(folder, 'cadzero-auth') for folder in folders)
    for place in places:
        if place and os.path.isabs(place) and os.path.isfile(place):
            return [place]
    return None


# They would change what the daemon runs or whom it trusts; the last one is a secret, and goes through standard input.
_NOT_PASSED_ON = re.compile(r'NODE_|PYTHON|ELECTRON_|LD_PRELOAD$|DYLD_|CADZERO_AUTH_PASSPHRASE$', re.IGNORECASE)


def _child_environment() -> Dict[str, str]:
    return {name: value for name, value in os.environ.items() if not _NOT_PASSED_ON.match(name)}


def _start_daemon(command: Sequence[str]) -> 'subprocess.Popen[bytes]':
    """No shell, no window, no handle of ours; it outlives this process."""
    options: Dict[str, Any] = {}
    if sys.platform == 'win32':
        options['creationflags'] = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
    else:
        options['start_new_session'] = True
    process = subprocess.Popen(
        [*command, 'daemon', '--passphrase-stdin'],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=os.path.expanduser('~'),
        env=_child_environment(),
        close_fds=True,
        **options,
    )
    try:
        if process.stdin:
            with process.stdin as stdin:
                stdin.write(os.environ.get('CADZERO_AUTH_PASSPHRASE', '').encode())
    except OSError:
        pass  # it has ended already; whoever waits for it will see that
    return process


# --- the WebSocket (RFC 6455) ---------------------------------------------------------------------------------------

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10


class _ProtocolError(Exception):
    pass


class _Socket:
    """One connection that has proved itself."""

    def __init__(self, endpoint: _Endpoint, deadline: float) -> None:
        """Raises NoDaemonError where nobody listens, NotGenuineError where somebody else does."""
        self._input = bytearray()
        self._output = bytearray()
        self._message: Optional[bytearray] = None
        try:
            self.socket = socket.create_connection(('127.0.0.1', endpoint.port), _left(deadline))
        except OSError:
            raise NoDaemonError('no daemon is running') from None
        try:
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._shake_hands(endpoint, deadline)
            self.socket.setblocking(False)
        except BaseException as error:
            self.socket.close()
            if isinstance(error, OSError):
                raise NotGenuineError('what listens there is not the genuine daemon') from None
            raise

    def _shake_hands(self, endpoint: _Endpoint, deadline: float) -> None:
        nonce, key = _encode(secrets.token_bytes(16)), base64.b64encode(secrets.token_bytes(16)).decode()
        credentials = f'instance="{endpoint.instance}", nonce="{nonce}", mac="{endpoint.mac("client", nonce)}"'
        self._send_all(
            f'GET {endpoint.path} HTTP/1.1\r\n'
            f'Host: {endpoint.authority}\r\n'
            'Upgrade: websocket\r\n'
            'Connection: Upgrade\r\n'
            'Sec-WebSocket-Version: 13\r\n'
            f'Sec-WebSocket-Key: {key}\r\n'
            f'Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n'
            f'Authorization: CadzeroAuth {credentials}\r\n\r\n'.encode(),
            deadline,
        )
        status, headers = self._read_head(deadline)
        accept = hashlib.sha1((key + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11').encode()).digest()
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
            raise NotGenuineError('what listens there is not the genuine daemon')

    def _send_all(self, data: bytes, deadline: float) -> None:
        self.socket.settimeout(_left(deadline))
        self.socket.sendall(data)

    def _read_head(self, deadline: float) -> Tuple[int, Dict[str, str]]:
        while b'\r\n\r\n' not in self._input:
            if len(self._input) > LARGEST_HEAD:
                raise NotGenuineError('what listens there is not the genuine daemon')
            self.socket.settimeout(_left(deadline))
            data = self.socket.recv(4096)
            if not data:
                raise NotGenuineError('what listens there is not the genuine daemon')
            self._input += data
        head, _, rest = bytes(self._input).partition(b'\r\n\r\n')
        self._input = bytearray(rest)
        lines = head.decode('latin-1').split('\r\n')
        match = re.fullmatch(r'HTTP/1\.1 ([0-9]{3})(?: .*)?', lines[0])
        headers: Dict[str, str] = {}
        for line in lines[1:]:
            name, colon, value = line.partition(':')
            if not colon or name.lower() in headers:
                raise NotGenuineError('what listens there is not the genuine daemon')
            headers[name.lower()] = value.strip()
        return (int(match.group(1)) if match else 0), headers

    def queue(self, text: str) -> None:
        self._frame(_TEXT, text.encode())

    def _frame(self, opcode: int, data: bytes) -> None:
        mask, size = secrets.token_bytes(4), len(data)
        if size < 126:
            head = struct.pack('!BB', 0x80 | opcode, 0x80 | size)
        elif size < 1 << 16:
            head = struct.pack('!BBH', 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack('!BBQ', 0x80 | opcode, 0x80 | 127, size)
        repeated = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(data, 'big') ^ int.from_bytes(repeated, 'big')).to_bytes(size, 'big')
        self._output += head + mask + masked

    @property
    def wants_to_send(self) -> bool:
        return bool(self._output)

    def send(self) -> None:
        try:
            sent = self.socket.send(self._output)
        except BlockingIOError:
            return
        del self._output[:sent]

    def read(self) -> None:
        """Takes in what has come. Raises _ProtocolError at the end of the connection."""
        try:
            data = self.socket.recv(65536)
        except BlockingIOError:
            return
        if not data:
            raise _ProtocolError('the connection was closed')
        self._input += data

    def messages(self) -> Iterator[str]:
        """The messages that were taken in, one by one. Raises _ProtocolError at what makes no sense, and at a close."""
        while True:
            frame = self._next_frame()
            if frame is None:
                return
            message = self._take(*frame)
            if message is not None:
                yield message

    def _next_frame(self) -> Optional[Tuple[bool, int, bytes]]:
        if len(self._input) < 2:
            return None
        first, second = self._input[0], self._input[1]
        size, start = second & 0x7F, 2
        if first & 0x70 or second & 0x80:
            raise _ProtocolError('a frame that a server may not send')
        if size == 126 or size == 127:
            start = 4 if size == 126 else 10
            if len(self._input) < start:
                return None
            size = int.from_bytes(self._input[2:start], 'big')
        if size > LARGEST_MESSAGE:
            raise _ProtocolError('a frame that is too large')
        if len(self._input) < start + size:
            return None
        data = bytes(self._input[start:start + size])
        del self._input[:start + size]
        return bool(first & 0x80), first & 0x0F, data

    def _take(self, final: bool, opcode: int, data: bytes) -> Optional[str]:
        if opcode >= _CLOSE:
            if not final or len(data) > 125:
                raise _ProtocolError('a control frame that is none')
            if opcode == _CLOSE:
                raise _ProtocolError('the connection was closed')
            if opcode == _PING:
                self._frame(_PONG, data)
            return None
        if (opcode == 0) != (self._message is not None) or opcode not in (0, _TEXT):
            raise _ProtocolError('a frame that does not belong there')
        if self._message is None:
            self._message = bytearray()
        self._message += data
        if len(self._message) > LARGEST_MESSAGE:
            raise _ProtocolError('a message that is too large')
        if not final:
            return None
        whole, self._message = self._message, None
        try:
            return whole.decode()
        except UnicodeDecodeError:
            raise _ProtocolError('a message that is no text') from None

    def close(self) -> None:
        try:
            self._frame(_CLOSE, struct.pack('!H', 1000))
            self.send()
        except OSError:
            pass
        self.socket.close()


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout('too late')
    return left


# --- the client -----------------------------------------------------------------------------------------------------

Listener = Callable[[Dict[str, Any]], None]


class _Call:
    """One call on its way: sent at most once more, and only where that is harmless."""

    def __init__(self, number: int, method: str, params: Dict[str, Any], harmless: bool) -> None:
        self.number = number
        self.text = json.dumps({'jsonrpc': '2.0', 'id': number, 'method': method, 'params': params})
        self.tries = 2 if harmless else 1
        self.done = threading.Event()
        self.result: Any = None
        self.error: Optional[AuthError] = None

    def finish(self, result: Any = None, error: Optional[AuthError] = None) -> None:
        self.result, self.error = result, error
        self.done.set()


class Client:
    """A connection to the user's daemon, made when it is first needed and made again when it is lost."""

    def __init__(
        self,
        command: Union[str, Sequence[str], None] = None,
        start: bool = True,
        discovery: Optional[str] = None,
    ) -> None:
        """`command`: the program that starts the daemon, if not found by itself; `start`: whether it may be started."""
        self._command = command
        self._start = start
        self._discovery = discovery
        self._lock = threading.Lock()
        self._listeners: List[Listener] = []
        self._reset()

    def _reset(self) -> None:
        self._pid = os.getpid()
        self._closed = False
        self._number = 0
        self._queue: Deque[_Call] = collections.deque()
        self._sent: Dict[int, _Call] = {}
        self._thread: Optional[threading.Thread] = None
        self._wake: Optional[Tuple[socket.socket, socket.socket]] = None
        self._bad_instance: Optional[str] = None
        self._started_at: Optional[float] = None
        self._process: Optional['subprocess.Popen[bytes]'] = None

    # What callers use.

    def get_auth_header(
        self,
        profile: Optional[str] = None,
        interactive: bool = False,
        min_validity_seconds: Optional[float] = None,
        timeout: float = 5.0,
    ) -> Dict[str, str]:
        """The headers for a request to the API. Opens the browser only where `interactive` is true.

        Raises InteractionRequiredError where a person must sign in, and AuthError in its other kinds.
        """
        params = _given(profile=profile, interactive=interactive, minValiditySeconds=min_validity_seconds)
        return self._headers(self.call('getAuthHeader', params, timeout, harmless=not interactive))

    def refresh(
        self, rejected: Optional[str] = None, profile: Optional[str] = None, timeout: float = 15.0
    ) -> Dict[str, str]:
        """A token newly issued. `rejected`: the value of the header that an API refused, so that it is renewed once."""
        params = _given(profile=profile, rejected=rejected)
        return self._headers(self.call('refresh', params, timeout, harmless=rejected is not None))

    def login(
        self, profile: Optional[str] = None, open_browser: bool = True, wait: bool = True, timeout: float = 300.0
    ) -> Dict[str, Any]:
        """Signs a person in with the browser; gives the status. Raises SignInFailedError where that fails."""
        params = _given(profile=profile, openBrowser=open_browser, wait=wait, timeoutSeconds=max(1.0, timeout))
        return self._dict(self.call('login', params, timeout + 2 if wait else timeout))

    def cancel_login(self, profile: Optional[str] = None, timeout: float = 5.0) -> Dict[str, Any]:
        return self._dict(self.call('cancelLogin', _given(profile=profile), timeout))

    def logout(self, profile: Optional[str] = None, timeout: float = 15.0) -> Dict[str, Any]:
        """Deletes the session here in every case, and at Clerk as well as can be: `revoked` says whether."""
        return self._dict(self.call('logout', _given(profile=profile), timeout))

    def status(self, profile: Optional[str] = None, timeout: float = 5.0) -> Dict[str, Any]:
        """Who is signed in, until when. It never holds a token."""
        return self._dict(self.call('status', _given(profile=profile), timeout, harmless=True))

    def on_change(self, listener: Listener) -> Callable[[], None]:
        """Calls `listener` with the status whenever it changes, in the background thread. Gives what takes it off."""
        with self._lock:
            self._listeners.append(listener)
            self._ensure_thread()

        def remove() -> None:
            with self._lock:
                if listener in self._listeners:
                    self._listeners.remove(listener)

        return remove

    def call(
        self, method: str, params: Optional[Dict[str, Any]] = None, timeout: float = 5.0, harmless: bool = False
    ) -> Any:
        """Calls any method. `harmless`: it may be sent once more where the connection is lost before it is answered."""
        deadline = time.monotonic() + timeout
        if not self._lock.acquire(timeout=max(0.0, timeout)):
            raise DaemonTimeoutError('no answer in time')
        try:
            if self._pid != os.getpid():
                self._reset()  # a fork has taken the thread away
            if self._closed:
                raise NoDaemonError('this client was closed')
            self._number += 1
            call = _Call(self._number, method, params or {}, harmless)
            self._queue.append(call)
            self._ensure_thread()
        finally:
            self._lock.release()
        if not call.done.wait(max(0.0, deadline - time.monotonic())):
            with self._lock:
                self._sent.pop(call.number, None)
                if call in self._queue:
                    self._queue.remove(call)
            if not call.done.is_set():
                raise DaemonTimeoutError('no answer in time')
        if call.error is not None:
            raise call.error
        return call.result

    def close(self) -> None:
        """Ends the connection and the thread. To be called when the add-in stops."""
        with self._lock:
            self._closed = True
            thread = self._thread
            self._poke()
        if thread is not None and thread is not threading.current_thread():
            thread.join(2.0)

    def __enter__(self) -> 'Client':
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    @staticmethod
    def _headers(result: Any) -> Dict[str, str]:
        headers = result.get('headers') if isinstance(result, dict) else None
        if not isinstance(headers, dict) or not isinstance(headers.get('Authorization'), str):
            raise AuthError('the daemon gave no usable answer')
        return dict(headers)

    @staticmethod
    def _dict(result: Any) -> Dict[str, Any]:
        if not isinstance(result, dict):
            raise AuthError('the daemon gave no usable answer')
        return result

    # What the thread does. Nothing below waits under the lock.

    def _ensure_thread(self) -> None:
        if self._thread is None or not self._thread.is_alive():
            self._wake = socket.socketpair()
            for end in self._wake:
                end.setblocking(False)
            self._thread = threading.Thread(target=self._run, name='cadzero-auth', daemon=True)
            self._thread.start()
        else:
            self._poke()

    def _poke(self) -> None:
        if self._wake is not None:
            try:
                self._wake[1].send(b'.')
            except OSError:
                pass  # it is full of pokes already, or gone

    def _run(self) -> None:
        wake = self._wake
        pause = 0.0
        connection: Optional[_Socket] = None
        try:
            while not self._closed and wake is not None:
                if connection is None:
                    self._sleep(wake[0], pause)
                    if self._closed or not self._is_needed():
                        continue
                    try:
                        connection, pause = self._connect(), 0.0
                    except AuthError as error:
                        log.debug('not connected: %s', type(error).__name__)
                        self._fail_all(error)
                        pause = min(LONGEST_PAUSE, max(0.1, pause * 2))
                        continue
                try:
                    self._exchange(connection, wake[0])
                except (_ProtocolError, OSError):
                    connection.close()
                    connection = None
                    self._lost()
        except Exception as error:  # a mistake of ours must not leave callers waiting for ever
            log.error('the connection’s thread has failed: %s', type(error).__name__)
        finally:
            if connection is not None:
                connection.close()
            for end in wake or ():
                end.close()
            self._fail_all(NoDaemonError('this client was closed'))

    def _is_needed(self) -> bool:
        with self._lock:
            return bool(self._queue or self._listeners)

    def _sleep(self, wake: socket.socket, seconds: float) -> None:
        """Until somebody calls; or, where listeners want a connection, until it is time to try again."""
        with self._lock:
            waiting, listening = bool(self._queue), bool(self._listeners)
        if not waiting:
            select.select([wake], [], [], seconds if listening else None)
        _drain(wake)

    def _exchange(self, connection: _Socket, wake: socket.socket) -> None:
        with self._lock:
            calls = [call for call in self._queue if call.tries > 0]
            self._queue.clear()
            for call in calls:
                call.tries -= 1
                self._sent[call.number] = call
        for call in calls:
            connection.queue(call.text)
        for message in connection.messages():  # also those that came along with the handshake
            self._handle(message)
        writers = [connection.socket] if connection.wants_to_send else []
        readable, writable, _ = select.select([connection.socket, wake], writers, [])
        if wake in readable:
            _drain(wake)
        if writable:
            connection.send()
        if connection.socket in readable:
            connection.read()

    def _handle(self, text: str) -> None:
        try:
            message = json.loads(text)
        except ValueError:
            raise _ProtocolError('a message that is no JSON') from None
        if not isinstance(message, dict):
            return
        if 'method' in message:
            self._notify(message)
            return
        with self._lock:
            call = self._sent.pop(message.get('id'), None) if isinstance(message.get('id'), int) else None
        if call is None:
            return  # nobody waits for it any more
        if 'error' in message:
            call.finish(error=_error_of(message['error']))
        else:
            call.finish(message.get('result'))

    def _notify(self, message: Dict[str, Any]) -> None:
        params = message.get('params')
        if message.get('method') != 'sessionChanged' or not isinstance(params, dict):
            return
        with self._lock:
            listeners = list(self._listeners)
        for listener in listeners:
            try:
                listener(dict(params))
            except Exception as error:
                log.error('a listener has failed: %s', type(error).__name__)

    def _lost(self) -> None:
        """What was sent and not answered goes once more where that is harmless; the rest is told."""
        with self._lock:
            calls, self._sent = list(self._sent.values()), {}
            again = [call for call in calls if call.tries > 0]
            self._queue.extendleft(reversed(again))
        for call in calls:
            if call.tries == 0:
                call.finish(error=ConnectionLostError('the daemon ended before it answered'))

    def _fail_all(self, error: AuthError) -> None:
        with self._lock:
            calls = [*self._queue, *self._sent.values()]
            self._queue.clear()
            self._sent.clear()
        for call in calls:
            call.finish(error=error)

    def _connect(self) -> _Socket:
        """Reads the discovery file anew each time: a daemon that was started again has another port and key."""
        try:
            return self._try()
        except (NoDaemonError, NotGenuineError) as error:
            with self._lock:
                wanted = bool(self._queue)
            if not wanted or not self._start_process():
                raise error
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                return self._try()
            except (NoDaemonError, NotGenuineError) as error:
                ended = self._process is not None and self._process.poll() is not None
                with self._lock:
                    given_up = not self._queue
                if ended or given_up or self._closed or time.monotonic() > deadline:
                    raise error
            time.sleep(0.02)

    def _try(self) -> _Socket:
        endpoint = _read_endpoint(self._discovery or discovery_file())
        if endpoint.instance == self._bad_instance:
            raise NotGenuineError('what listens there is not the genuine daemon')
        try:
            connection = _Socket(endpoint, time.monotonic() + CONNECT_SECONDS)
        except NotGenuineError:
            self._bad_instance = endpoint.instance  # nothing is said to it again, until the file names another
            raise
        self._started_at = None  # it starts; the next one that is missing may be started at once
        return connection

    def _start_process(self) -> bool:
        """Whether a daemon was started just now."""
        if self._process is not None:
            self._process.poll()  # takes note of one that has ended
        now = time.monotonic()
        recently = self._started_at is not None and now - self._started_at < START_AGAIN_SECONDS
        command = find_command(self._command) if self._start and not recently else None
        if command is None:
            return False
        self._started_at = now
        try:
            self._process = _start_daemon(command)
        except OSError as error:
            log.warning('the daemon could not be started: %s', type(error).__name__)
            return False
        return True


def _given(**params: Any) -> Dict[str, Any]:
    return {name: value for name, value in params.items() if value is not None}


def _drain(wake: socket.socket) -> None:
    try:
        while wake.recv(4096):
            pass
    except OSError:
        pass
