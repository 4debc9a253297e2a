"""An add-in for Fusion that signs in to CADZERO: a palette with the user, sign-in, sign-out, and a call of an API.

Fusion calls run() and stop() on its main thread, which no function here keeps waiting. Everything that takes longer runs
in a thread, and comes back through a custom event.
"""

import json
import queue
import threading
import urllib.error
import urllib.request
from pathlib import Path

import adsk.core

from . import auth, config, log

EVENT_ID = 'CadzeroExample_Event'
PALETTE_ID = 'CadzeroExample_Palette'

app = adsk.core.Application.get()
_handlers = []  # Fusion keeps no reference to them
_messages: 'queue.SimpleQueue[tuple[str, dict]]' = queue.SimpleQueue()  # to the palette
_cleanup = []


def run(context):
    event = app.registerCustomEvent(EVENT_ID)
    _add(event, adsk.core.CustomEventHandler, lambda args: _deliver())
    _cleanup.append(log.to_text_commands(app, lambda: app.fireCustomEvent(EVENT_ID)))
    auth.start()  # installs and connects in the background
    _cleanup.append(auth.client.on_change(lambda status: _show_user()))
    _open_palette()


def stop(context):
    while _cleanup:
        _cleanup.pop()()
    auth.stop()
    palette = app.userInterface.palettes.itemById(PALETTE_ID)
    if palette:
        palette.deleteMe()
    app.unregisterCustomEvent(EVENT_ID)
    _handlers.clear()


def _open_palette():
    page = (Path(__file__).parent / 'palette.html').as_uri()
    palette = app.userInterface.palettes.add(PALETTE_ID, 'CADZERO', page, True, True, True, 320, 240, True)
    _add(palette.incomingFromHTML, adsk.core.HTMLEventHandler, _answer)


def _answer(args):
    """Answers a message of the palette, on the main thread and at once."""
    data = json.loads(args.data or '{}')
    try:
        result = ACTIONS[args.action](data)
    except auth.cadzero_auth.AuthError as error:
        problem = auth.last_error()
        result = {'error': problem.to_dict() if problem else {'message': str(error)}}
    args.returnData = json.dumps(result)


def _sign_in(data):
    auth.start_sign_in()
    return {'link': auth.sign_in_link()}  # None at first: the link follows with the state signing_in


def _sign_out(data):
    auth.sign_out()
    return {'user': auth.get_current_user()}


def _switch_endpoint(data):
    config.current_endpoint = config.ENDPOINTS[data['endpoint']]  # the profile follows it
    return {'user': auth.get_current_user()}


def _call_api(data):
    threading.Thread(target=lambda: _send('response', call_api(config.current_endpoint)), daemon=True).start()
    return {}


ACTIONS = {
    'user': lambda data: {'user': auth.get_current_user(), 'link': auth.sign_in_link()},
    'signIn': _sign_in,
    'signOut': _sign_out,
    'switchEndpoint': _switch_endpoint,
    'callApi': _call_api,
    'howToRemove': lambda data: {'commands': auth.cadzero_auth.removal_instructions()},
}


def call_api(url):
    """Calls the API, and once more if it refuses the token. Runs in a thread of its own."""
    headers = auth.get_auth_headers()
    if not headers:
        problem = auth.last_error()  # None if another thread has succeeded meanwhile
        return {'error': problem.to_dict() if problem else {'message': 'There was no token.', 'hint': 'Try again.'}}
    try:
        return {'status': _get(url, headers)}
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != 401:
            return {'status': error.code}
    except OSError as error:
        return {'error': {'code': 'network', 'message': str(error), 'hint': 'Check the network connection.'}}
    try:
        return {'status': _get(url, auth.client.refresh(rejected=headers['Authorization']))}
    except (auth.cadzero_auth.AuthError, OSError) as error:
        return {'error': {'code': 'refused', 'message': str(error), 'hint': 'Sign in again.'}}


def _get(url, headers):
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as response:
        return response.status


def _show_user():
    """Sends the user to the palette. Called in any thread."""
    _send('user', {})


def _send(action, data):
    """Has the main thread send a message to the palette."""
    _messages.put((action, data))
    app.fireCustomEvent(EVENT_ID)


def _deliver():
    """Runs on the main thread: prints the log, and sends the messages."""
    log.flush(app)
    palette = app.userInterface.palettes.itemById(PALETTE_ID)
    while not _messages.empty():
        action, data = _messages.get()
        if action == 'user':
            data = ACTIONS['user']({})
        if palette:
            palette.sendInfoToHTML(action, json.dumps(data))


def _add(event, base, callback):
    handler = type('Handler', (base,), {'notify': lambda self, args: callback(args)})()
    event.add(handler)
    _handlers.append(handler)
