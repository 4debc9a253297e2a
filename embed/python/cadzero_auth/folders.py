"""The folders of the daemon and its user, found in the environment as the daemon finds them."""

from __future__ import annotations

import json
import os
import re
import sys

from .errors import ConfigurationError

if sys.platform == 'win32':

    def _registered_home() -> str | None:
        home = os.path.expanduser('~')  # from HOMEDRIVE and HOMEPATH
        return None if home == '~' else home

else:
    import pwd

    def _registered_home() -> str | None:
        """Returns the home folder in the system's list of users."""
        try:
            return pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return None


def data_folder() -> str:
    """Returns the folder of the discovery file.

    Raises ConfigurationError if a variable that the daemon reads names no folder that can be used.
    """
    own = os.environ.get('CADZERO_AUTH_HOME')
    if own:
        return os.path.join(_checked('CADZERO_AUTH_HOME', own), 'data')
    if sys.platform == 'win32':
        local = _variable('LOCALAPPDATA', 'APPDATA') or os.path.join(home_folder(), 'AppData', 'Local')
        return os.path.join(local, 'cadzero-auth', 'Data')
    if sys.platform == 'darwin':
        return os.path.join(home_folder(), 'Library', 'Application Support', 'cadzero-auth')
    data = _variable('XDG_DATA_HOME', 'XDG_CONFIG_HOME', 'XDG_STATE_HOME')
    return os.path.join(data or os.path.join(home_folder(), '.local', 'share'), 'cadzero-auth')


def program_folder() -> str:
    """Returns the folder of the user's own copy of the program, which clients search as well.

    Raises ConfigurationError if the user has no home folder.
    """
    if sys.platform == 'win32':
        local = _variable('LOCALAPPDATA') or os.path.join(home_folder(), 'AppData', 'Local')
        return os.path.join(local, 'Programs', 'cadzero-auth')
    return os.path.join(home_folder(), '.local', 'bin')


def home_folder() -> str:
    """Returns the user's home folder. An empty variable counts as not set.

    Raises ConfigurationError if there is none.
    """
    variable = 'USERPROFILE' if sys.platform == 'win32' else 'HOME'
    home = os.environ.get(variable) or _registered_home()
    if not home:
        raise _error(
            variable,
            f'{variable} is not set, and the system has no home folder for this user',
            f'set {variable}, or set CADZERO_AUTH_HOME to an absolute path',
        )
    return _checked(variable, home)


def working_folder() -> str:
    """Returns a folder that exists for a process in the background: the home folder, or else the system's root."""
    try:
        home = home_folder()
    except ConfigurationError:
        home = ''
    if os.path.isdir(home) and os.access(home, os.X_OK):
        return home
    if sys.platform == 'win32':
        return os.path.splitdrive(os.environ.get('SYSTEMROOT') or 'C:\\')[0] + '\\'
    return '/'


def _variable(name: str, *others: str) -> str | None:
    """Returns the path in `name`, if it is set. A wrong path in one of `others` would keep the daemon from starting."""
    for variable in (name, *others):
        path = os.environ.get(variable)
        if path:
            _checked(variable, path)
    return os.environ.get(name) or None


def _checked(variable: str, path: str) -> str:
    try:
        is_utf8 = '\ufffd' not in os.fsencode(path).decode('utf-8')
    except UnicodeError:
        is_utf8 = False
    if not is_utf8:
        raise _error(
            variable,
            f'the path in {variable} is not valid UTF-8, so that the folder cannot be opened',
            'set CADZERO_AUTH_HOME to a folder whose path is valid UTF-8',
        )
    absolute = r'[A-Za-z]:[\\/]|[\\/]{2}' if sys.platform == 'win32' else '/'
    if not re.match(absolute, path):
        unset = '' if variable in {'HOME', 'CADZERO_AUTH_HOME'} else ', or unset it'
        raise _error(
            variable,
            f'{variable} is not an absolute path: {json.dumps(path)}',
            f'set {variable} to an absolute path{unset}',
        )
    return path


def _error(variable: str, message: str, hint: str) -> ConfigurationError:
    return ConfigurationError(message, 1007, {'setting': variable, 'hint': hint})
