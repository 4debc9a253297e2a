"""The drop-in beside the real daemon: run by test/python.test.ts, which plays Clerk, the broker and the person.

Its arguments: a folder that holds copies of auth.py and cadzero_auth.py and an older add-in's .auth_token.json. The
environment says how the daemon is started (CADZERO_AUTH_COMMAND) and where it keeps things (CADZERO_AUTH_HOME).
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

import auth
import cadzero_auth

assert os.path.dirname(os.path.abspath(auth.__file__)) == os.path.abspath(folder)
legacy_file = os.path.join(folder, '.auth_token.json')
command = json.loads(os.environ['CADZERO_AUTH_COMMAND'])


def until(what, condition):
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def step(name):
    print('ok', name, flush=True)


assert set(auth.get_current_user()) == {'is_authenticated'} or not os.path.exists(legacy_file)
until('the older session is taken over', auth.auth_token.is_authenticated)
until('its file is gone', lambda: not os.path.exists(legacy_file))
step('a daemon was started, and the older session taken over')

user = auth.get_current_user()
assert user['is_authenticated'] is True and user['user_id'].startswith('user_2'), user
assert sorted(user) == ['is_authenticated', 'user_email', 'user_id', 'user_name'], user
assert auth.auth_token.user_email == user['user_email'] and auth.auth_token.session_id.startswith('sess_')
assert auth.auth_token.token_expiry < time.time() + 60
step('the user has the shape that the palette knows')

first = auth.get_auth_headers()
assert list(first) == ['Authorization'] and first['Authorization'].startswith('Bearer ey')
assert first['Authorization'] == 'Bearer ' + auth.auth_token.token
assert auth.auth_token.refresh_token() is True
second = auth.auth_token.get_auth_header()
assert second != first
auth.auth_token.save_token('ignored', user_id='x', token_expiry=5)
auth.auth_token.load_token()
assert auth.auth_token.get_auth_header() == second
step('headers are fresh, and nothing that is saved by hand changes them')

heard = threading.Event()
remove = auth.client.on_change(lambda status: heard.set())
auth.auth_token.refresh_token()
assert heard.wait(10)
remove()
step('a listener hears of a change')

subprocess.run([*command, 'daemon', '--stop'], check=True, stdout=subprocess.DEVNULL)
until('the daemon is started again', lambda: auth.get_auth_headers() != {})
step('a daemon that was stopped is started again, and nobody is signed out')

subprocess.Popen([*command, 'daemon', '--replace'], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
pid = auth.client.status()['daemon']['pid']
until('the new daemon answers', lambda: auth.auth_token._status().get('daemon', {}).get('pid', pid) != pid)
assert auth.get_auth_headers() != {}
step('a daemon that was replaced is followed')

auth.sign_out()
assert auth.get_auth_headers() == {} and auth.auth_token.is_authenticated() is False
assert auth.get_current_user() == {'is_authenticated': False}
assert auth.auth_token.refresh_token() is False and auth.auth_token.token is None
assert auth.client.status()['state'] == 'signed_out', 'a browser was opened'
step('signed out there is no header, and no browser opens')

assert auth.initiate_clerk_signin() is True
assert auth.get_auth_headers() != {}
step('a sign-in opens the browser and waits for the person')

auth.auth_token.clear_token()
assert auth.get_auth_headers() == {}
auth.stop()
assert auth.get_auth_headers() == {}
assert cadzero_auth.log.name == 'cadzero_auth'
step('the end')
