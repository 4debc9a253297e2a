"""An add-in at work: signs in once, then calls an API again and again. test/e2e/end-to-end.test.ts runs it.

Its arguments are the folder of the drop-in, the API's address, and the duration in seconds. It prints one line of JSON:
the calls of this add-in, and those of one that keeps a token until it expires, as the older add-in did.
"""

import json
import sys
import time
import urllib.error
import urllib.request

folder, api, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
sys.path.insert(0, folder)

import auth  # noqa: E402

PAUSE = 0.1


def call(headers):
    """Returns the status of one call to the API."""
    try:
        with urllib.request.urlopen(urllib.request.Request(api, headers=headers), timeout=10) as response:
            return response.status
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


assert auth.initiate_clerk_signin() is True
end = time.monotonic() + seconds
counts = {'calls': 0, 'refused': 0, 'olderRefused': 0, 'olderSignIns': 1}
kept = auth.get_auth_headers()
while time.monotonic() < end:
    counts['calls'] += 1
    if call(auth.get_auth_headers()) != 200:
        counts['refused'] += 1
    if call(kept) != 200:
        counts['olderRefused'] += 1
        counts['olderSignIns'] += 1  # the older add-in would ask its user to sign in again
        kept = auth.get_auth_headers()
    time.sleep(PAUSE)
counts['user'] = auth.get_current_user().get('user_id')
auth.stop()
print(json.dumps(counts))
