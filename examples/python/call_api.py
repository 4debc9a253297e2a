"""Calls an API with a header from the daemon: python3 call_api.py URL"""

import pathlib
import sys
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).parents[2] / 'embed' / 'python'))
import cadzero_auth  # noqa: E402


def call(url: str, headers: dict) -> str:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:
        return f'{response.status} {response.read().decode()}'


def main(url: str) -> None:
    client = cadzero_auth.Client()
    try:
        headers = client.get_auth_header(interactive=False)
        try:
            print(call(url, headers))
        except urllib.error.HTTPError as error:
            if error.code != 401:
                raise
            # Naming the rejected header lets the daemon refresh once for all clients that were refused.
            print(call(url, client.refresh(rejected=headers['Authorization'])))
    finally:
        client.close()


main(sys.argv[1])
