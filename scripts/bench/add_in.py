"""An add-in on Fusion's main thread, for bench:python. Reads a command on each line, and prints its times as JSON.

Its argument is the folder of the drop-in. Commands: `calls N` (headers and the user, N times each), `during S` (the same
for S seconds), `until STATE`, `restart N` (stop and call, N times), `zero N` (headers with `timeout=0`), `sign_out`,
`elsewhere` (a logout in another client, until the header is gone), `bare N` (a dict copied in a function).
"""

import json
import sys
import time

sys.path.insert(0, sys.argv[1])

import auth  # noqa: E402

HEADER = {'Authorization': 'Bearer x'}


def timed(call, times):
    began = time.perf_counter()
    result = call()
    times.append((time.perf_counter() - began) * 1e6)
    return result


class Run:
    def __init__(self):
        self.headers, self.users, self.answers = [], [], {}

    def step(self):
        headers = timed(auth.get_auth_headers, self.headers)
        state = timed(auth.get_current_user, self.users)['state']
        answer = f'{"header" if headers else "none"}, {state}'
        self.answers[answer] = self.answers.get(answer, 0) + 1
        return state


def bare():
    return dict(HEADER)


def sign_out():
    try:
        auth.sign_out()
    except auth.cadzero_auth.AuthError as error:
        return type(error).__name__
    return 'confirmed'


def log_out_elsewhere():
    """Signs out with another client; returns when the header of this one is gone."""
    auth.get_auth_headers(timeout=15)
    with auth.cadzero_auth.Client(start=False) as other:
        other.status()

        def until_dropped():
            other.logout()
            while auth.client._view.headers.find(None) is not None:
                pass

        timed(until_dropped, run.headers)
    return 'dropped'


for line in sys.stdin:
    name, *words = line.split()
    run = Run()
    if name == 'calls':
        for _ in range(int(words[0])):
            run.step()
    elif name == 'during':
        end = time.monotonic() + float(words[0])
        while time.monotonic() < end:
            run.step()
            time.sleep(0.002)
    elif name == 'until':
        while run.step() != words[0]:
            time.sleep(0.005)
    elif name == 'restart':
        for _ in range(int(words[0])):
            timed(auth.stop, run.users)
            run.step()
    elif name == 'zero':
        for _ in range(int(words[0])):
            timed(lambda: auth.get_auth_headers(timeout=0), run.headers)
    elif name == 'sign_out':
        run.answers[timed(sign_out, run.headers)] = 1
    elif name == 'elsewhere':
        run.answers[log_out_elsewhere()] = 1
    elif name == 'bare':
        for _ in range(int(words[0])):
            timed(bare, run.headers)
    print(json.dumps({'headers': run.headers, 'users': run.users, 'answers': run.answers}), flush=True)
