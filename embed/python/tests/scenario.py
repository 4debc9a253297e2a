"""The drop-in beside the real daemon, step by step. test/embed/python.test.ts runs it, and plays Clerk and the user.

Its argument is a folder with copies of auth.py and cadzero_auth and with a legacy .auth_token.json. The environment
tells how to start the daemon (CADZERO_AUTH_COMMAND) and where its files are (CADZERO_AUTH_HOME).
"""

import json
import logging
import os
import subprocess
import sys
import threading
import time

folder = sys.argv[1]
sys.path.insert(0, folder)
logging.basicConfig(level=logging.DEBUG)

import auth  # noqa: E402
import cadzero_auth  # noqa: E402

for module in (auth, cadzero_auth):
    assert os.path.abspath(module.__file__).startswith(os.path.abspath(folder) + os.sep), module
legacy_file = os.path.join(folder, '.auth_token.json')
command = json.loads(os.environ['CADZERO_AUTH_COMMAND'])


def wait_until(what, condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def passed(step):
    print('ok', step, flush=True)


assert auth.get_current_user()['state'] in {'starting', 'unavailable', 'signed_out', 'signed_in'}
wait_until('the legacy session is imported', auth.auth_token.is_authenticated)
wait_until('the legacy file is removed', lambda: not os.path.exists(legacy_file))
passed('the daemon is started and the legacy session imported')

user = auth.get_current_user()
assert user['is_authenticated'] is True and user['user_id'].startswith('user_2'), user
assert sorted(user) == ['error', 'is_authenticated', 'state', 'user_email', 'user_id', 'user_name'], user
assert auth.auth_token.user_email == user['user_email'] and auth.auth_token.session_id.startswith('sess_')
assert auth.auth_token.token_expiry < time.time() + 60
passed('the user has the shape that the palette expects')

first = auth.get_auth_headers(timeout=15)
assert list(first) == ['Authorization'] and first['Authorization'].startswith('Bearer ey')
assert first['Authorization'] == 'Bearer ' + auth.auth_token.token
assert auth.auth_token.refresh_token(timeout=15) is True
second = auth.auth_token.get_auth_header()
assert second != first
auth.auth_token.save_token('ignored', user_id='x', token_expiry=5)
auth.auth_token.load_token()
assert auth.auth_token.get_auth_header() == second
passed('a refresh gives a new token, and a token saved by hand is ignored')

heard = threading.Event()
remove = auth.client.on_change(lambda status: heard.set())
auth.auth_token.refresh_token(timeout=15)
assert heard.wait(10)
remove()
passed('a listener is told of a change')


def daemon_pid():
    """Returns the process id of the daemon that answers; None during a change."""
    try:
        return auth.client.status(timeout=15)['daemon']['pid']
    except cadzero_auth.AuthError:
        return None


first_pid = daemon_pid()
subprocess.run([*command, 'daemon', '--stop'], check=True, stdout=subprocess.DEVNULL)
assert auth.get_auth_headers(timeout=15) != {}, 'a token that is valid is served without a daemon'
wait_until('the daemon is started again', lambda: daemon_pid() not in {None, first_pid})
assert auth.get_auth_headers(timeout=15) != {}
passed('a stopped daemon is started again and keeps the session')

second_pid = daemon_pid()
replacing = subprocess.Popen([*command, 'daemon', '--replace'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
wait_until('the new daemon answers', lambda: daemon_pid() == replacing.pid)
assert auth.get_auth_headers(timeout=15) != {} and second_pid != replacing.pid
passed('the client connects to the daemon that replaces another')

other = cadzero_auth.Client()
other.get_auth_header(timeout=15)
assert other._view.headers.find(None) is not None
auth.sign_out(timeout=15)
wait_until('another client hears of the sign-out', lambda: other._view.headers.find(None) is None)
other.close()
assert auth.get_auth_headers(timeout=15) == {} and auth.auth_token.is_authenticated() is False
assert auth.get_current_user(timeout=15) == {'is_authenticated': False, 'state': 'signed_out', 'error': None}
assert auth.auth_token.refresh_token(timeout=15) is False and auth.auth_token.token is None
assert auth.client.status(timeout=15)['state'] == 'signed_out', 'a browser was opened'
passed('a signed-out user has no header, and no browser opens')

assert auth.initiate_clerk_signin() is True
assert auth.get_auth_headers(timeout=15) != {}
passed('a sign-in opens the browser and waits for the user')

auth.sign_out(timeout=15)
assert auth.get_auth_headers(timeout=15) == {}
for _ in range(2):
    auth.stop()
    wait_until('the thread ends', lambda: 'cadzero-auth' not in [thread.name for thread in threading.enumerate()])
    assert auth.get_current_user(timeout=15)['state'] == 'signed_out'
passed('a stopped drop-in works again at the next call')
auth.stop()
replacing.terminate()
replacing.wait(30)
