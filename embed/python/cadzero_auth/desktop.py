"""The desktop of this process: the only part of its environment that the daemon's browser may get from a client."""

from __future__ import annotations

import os

# A closed list, as in the daemon: no variable that decides which code a program loads.
NAMES = (
    'DISPLAY',
    'WAYLAND_DISPLAY',
    'XAUTHORITY',
    'DBUS_SESSION_BUS_ADDRESS',
    'XDG_RUNTIME_DIR',
    'XDG_CURRENT_DESKTOP',
    'XDG_SESSION_TYPE',
    'XDG_SESSION_DESKTOP',
    'XDG_DATA_DIRS',
    'XDG_ACTIVATION_TOKEN',
    'DESKTOP_SESSION',
    'BROWSER',
    'VSCODE_IPC_HOOK_CLI',
    'GTK_IM_MODULE',
    'QT_IM_MODULE',
    'XMODIFIERS',
    'MOZ_ENABLE_WAYLAND',
    'GDK_BACKEND',
    'LANG',
    'LC_ALL',
    'WSL_DISTRO_NAME',
    'WSL_INTEROP',
    'http_proxy',
    'https_proxy',
    'ftp_proxy',
    'all_proxy',
    'no_proxy',
    'auto_proxy',
    'HTTP_PROXY',
    'HTTPS_PROXY',
    'FTP_PROXY',
    'ALL_PROXY',
    'NO_PROXY',
)
LONGEST_VALUE = 4096  # characters


def desktop_environment() -> dict[str, str]:
    """Returns the desktop variables of this process, without those that the daemon would refuse."""
    # On Windows, names have no case, and each proxy would be in it twice.
    names = [name for name in NAMES if os.name != 'nt' or name.isupper()]
    values = {name: os.environ.get(name, '') for name in names}
    return {name: value for name, value in values.items() if 0 < len(value) <= LONGEST_VALUE and _is_text(value)}


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8
        return False
    return True
