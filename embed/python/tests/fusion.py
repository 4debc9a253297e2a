"""Plays Fusion for an add-in, step by step. Node's tests run it, and play Clerk and the user's browser.

Its arguments are the folder of the add-in, which is a package with run() and stop() in a module of its name, and
«bundle» if the add-in brings the program along. It prints one line for each step.
"""

import importlib
import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import adsk.core

folder = sys.argv[1]
has_bundle = sys.argv[2:] == ['bundle']
name = os.path.basename(folder)
sys.path.insert(0, os.path.dirname(folder))
app = adsk.core.Application.get()
slowest = 0.0


def passed(step):
    print('ok', step, flush=True)


def palette():
    return app.userInterface.palettes.itemById('CadzeroExample_Palette')


def ask(action, **data):
    """Sends a message of the palette's page; returns the answer."""
    global slowest  # noqa: PLW0603
    answer, seconds = palette().ask(action, json.dumps(data))
    slowest = max(slowest, seconds)
    return json.loads(answer)


def wait_until(what, condition):
    """Plays the main thread until the condition holds."""
    deadline = time.monotonic() + 90
    while not condition():
        app.pump(0.1)
        assert time.monotonic() < deadline, (what, app.lines)


def wait_for(*states):
    """Plays the main thread until the palette shows one of these states; returns the answer to its page."""
    answers = [ask('user')]

    def has_come():
        answers.append(ask('user'))
        state = answers[-1]['user']['state']
        assert state in {'starting', 'unavailable', 'signing_in', 'signed_in', 'signed_out'}
        return state in states

    wait_until(states, has_come)
    return answers[-1]


def daemon_version():
    try:
        return add_in.auth.client.status(timeout=5)['daemon']['version']
    except add_in.auth.cadzero_auth.AuthError:
        return None


add_in = importlib.import_module(f'{name}.{name}')
assert palette() is None
add_in.run({})
state = wait_for('signed_out', 'signed_in')['user']['state']
if has_bundle:
    installer = add_in.auth._add_in.installer
    wait_until('the installation', lambda: installer.installed or installer.error)
    assert installer.installed, installer.error
    passed(f'{installer.installed.kind} {installer.installed.version}')
    wait_until('the daemon of that version', lambda: daemon_version() == installer.installed.version)
passed(f'the add-in runs, and the palette shows the state {state}')

assert ask('switchEndpoint', endpoint='staging')['user']['is_authenticated'] is False
assert add_in.auth.get_auth_headers() == {}
ask('switchEndpoint', endpoint='production')
passed('another backend has another profile')

if state == 'signed_out':
    assert ask('signIn').keys() == {'link'}
signed_in = wait_for('signed_in')['user']
assert signed_in['is_authenticated'] is True and signed_in['error'] is None
headers = add_in.auth.get_auth_headers()
assert headers['Authorization'].startswith('Bearer ey')
passed('the palette signs in')

for module in (add_in.auth, None):
    add_in.stop({})
    assert palette() is None
    if module is not None:
        importlib.reload(module)
    add_in.run({})
    assert wait_for('signed_in')['user']['user_id'] == signed_in['user_id']
passed('the add-in works after Stop and Run, and after a reload')

assert 'service uninstall --purge' in ask('howToRemove')['commands']
if has_bundle:
    passed('the user stays signed in')
else:
    ask('signOut')
    assert wait_for('signed_out')['user']['is_authenticated'] is False
    passed('the palette signs out')
add_in.stop({})
print(f'slowest answer {slowest:.3f} s')
