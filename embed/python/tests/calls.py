"""An add-in at work: signs in once, then calls an API again and again. Run by test/end-to-end.test.ts.

Its arguments: the folder of the drop-in, the API's address, and how many seconds to work for. It prints one line of JSON:
how its calls went, and how they would have gone for an add-in that keeps a token until it dies, as the older one did.
"""

import json
import sys
import time
import urllib.error
import urllib.request

folder, api, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
sys.path.insert(0, folder)

import auth

PAUSE = 0.1


def call(headers):
    try:
        with urllib.request.urlopen(urllib.request.Request(api, headers=headers), timeout=10) as answer:
            return answer.status
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
        counts['olderSignIns'] += 1  # its user would have had to sign in again, for a token as good as this one
        kept = auth.get_auth_headers()
    time.sleep(PAUSE)
counts['user'] = auth.get_current_user().get('user_id')
auth.stop()
print(json.dumps(counts))
