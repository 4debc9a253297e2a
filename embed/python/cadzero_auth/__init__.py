"""Client of the cadzero-auth daemon: asks it for Authorization headers over a loopback WebSocket.

    client = Client()
    headers = client.get_auth_header(interactive=False)  # {'Authorization': 'Bearer …'}

The package uses the standard library only and supports Python 3.9 and newer. All its imports are relative, so that an
add-in can carry a copy inside its own package.
"""

from .add_in import AddIn, patience
from .bundle import InstallError
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
from .install import Installed, ensure_installed, removal_instructions
from .launcher import find_command
from .problems import Problem, problem_of
from .sign_outs import SignOutPendingError

__all__ = [
    'AddIn',
    'AuthError',
    'Client',
    'ConfigurationError',
    'ConnectionLostError',
    'DaemonTimeoutError',
    'InstallError',
    'Installed',
    'InteractionRequiredError',
    'NoDaemonError',
    'NotGenuineError',
    'Problem',
    'ProviderRejectedError',
    'ShuttingDownError',
    'SignInFailedError',
    'SignOutPendingError',
    'StoreUnavailableError',
    'TemporarilyUnavailableError',
    'discovery_file',
    'ensure_installed',
    'find_command',
    'patience',
    'problem_of',
    'removal_instructions',
]
