"""The backends of the add-in. auth.PROFILES says whose tokens each of them accepts."""

ENDPOINTS = {
    'local': 'http://localhost:4000',
    'staging': 'https://staging-utilities-c8p2.encr.app',
    'production': 'https://prod-utilities-c8p2.encr.app',
}
current_endpoint = ENDPOINTS['production']
