"""Client of the cadzero-auth daemon: asks it for Authorization headers over a loopback WebSocket.

    client = Client()
    headers = client.get_auth_header(interactive=False)  # {'Authorization': 'Bearer …'}

The package uses the standard library only and supports Python 3.9 and newer. All its imports are relative, so that an
add-in can carry a copy inside its own package.
"""

from .client import Client
from .discovery import discovery_file
from .errors import (
    AuthError,
    ConfigurationError,
    ConnectionLostError,
    DaemonTimeoutError,
    InteractionRequiredError,
    NoDaemonError,
    NotGenuineError,
    ProviderRejectedError,
    ShuttingDownError,
    SignInFailedError,
    StoreUnavailableError,
    TemporarilyUnavailableError,
)
from .launcher import find_command

__all__ = [
    'AuthError',
    'Client',
    'ConfigurationError',
    'ConnectionLostError',
    'DaemonTimeoutError',
    'InteractionRequiredError',
    'NoDaemonError',
    'NotGenuineError',
    'ProviderRejectedError',
    'ShuttingDownError',
    'SignInFailedError',
    'StoreUnavailableError',
    'TemporarilyUnavailableError',
    'discovery_file',
    'find_command',
]
