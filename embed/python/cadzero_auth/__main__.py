"""The command line: `python -m cadzero_auth install DIR` installs the program that an add-in brings along."""

from __future__ import annotations

import argparse
import sys

from .errors import AuthError
from .install import ensure_installed, removal_instructions

TEXTS = {
    'installed': 'installed',
    'upgraded': 'upgraded',
    'current': 'already installed',
    'newer': 'left as it is, because it is not older than the bundle',
    'managed': 'left to the package manager that installed it',
}


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code: 0, 1 if it failed, 2 for wrong usage."""
    parser = argparse.ArgumentParser(prog='python -m cadzero_auth', description=__doc__)
    commands = parser.add_subparsers(required=True, metavar='command')
    install = commands.add_parser('install', help='install the program of a bundle for this user')
    install.add_argument('folder', help='the folder with the executables and SHA256SUMS')
    folder: str = parser.parse_args(arguments).folder
    try:
        done = ensure_installed(folder)
    except AuthError as error:
        print(f'error: {error.message}', file=sys.stderr)
        if error.hint is not None:
            print(f'hint: {error.hint}', file=sys.stderr)
        return 1
    print(f'cadzero-auth {done.version}: {TEXTS[done.kind]}: {done.program}')
    if done.note is not None:
        print(f'note: the daemon does not start at log-on: {done.note}')
    if done.kind != 'managed':
        print(f'to remove it, also after the add-in is gone:\n{removal_instructions()}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
