"""The drop-in auth.py: the names and shapes that the add-in expects, without a daemon."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock

import auth
from cadzero_auth import NoDaemonError, StoreUnavailableError

FOLDER = os.path.dirname(os.path.abspath(auth.__file__))
HEADERS = {'Authorization': 'Bearer abc'}
STATUS = {
    'state': 'signed_in',
    'user': {'id': 'user_1', 'email': 'ada@example.com', 'name': 'Ada Lovelace'},
    'sessionId': 'sess_1',
    'tokenExpiresAt': 1000,
}


class DropInTestCase(unittest.TestCase):
    def setUp(self):
        self.client = mock.create_autospec(auth.client, instance=True)
        patch = mock.patch.object(auth, 'client', self.client)
        patch.start()
        self.addCleanup(patch.stop)


class SignedInTest(DropInTestCase):
    def setUp(self):
        super().setUp()
        self.client.get_auth_header.return_value = HEADERS
        self.client.status.return_value = STATUS
        self.client.login.return_value = STATUS

    def test_headers_come_from_the_daemon_and_open_no_browser(self):
        self.assertEqual(auth.get_auth_headers(), HEADERS)
        self.assertEqual(auth.auth_token.get_auth_header(), HEADERS)
        self.assertEqual(auth.auth_token.token, 'abc')
        self.client.get_auth_header.assert_called_with(interactive=False)

    def test_the_user_has_the_shape_of_the_palette(self):
        self.assertEqual(
            auth.get_current_user(),
            {
                'user_id': 'user_1',
                'user_email': 'ada@example.com',
                'user_name': 'Ada Lovelace',
                'is_authenticated': True,
            },
        )

    def test_the_token_object_has_the_attributes_of_the_old_one(self):
        token = auth.auth_token
        self.assertTrue(token.is_authenticated())
        self.assertFalse(token.is_token_expired())
        self.assertTrue(token.refresh_token())
        self.assertEqual((token.user_id, token.user_email, token.user_name), tuple(STATUS['user'].values()))
        self.assertEqual((token.session_id, token.token_expiry), ('sess_1', 970))

    def test_saving_and_loading_a_token_do_nothing(self):
        auth.auth_token.save_token('x', user_id='x', user_email='x', user_name='x', session_id='x', token_expiry=1)
        auth.auth_token.load_token()
        self.assertEqual(self.client.method_calls, [])

    def test_a_sign_in_waits_five_minutes(self):
        self.assertIs(auth.initiate_clerk_signin(), True)
        self.client.login.assert_called_once_with(timeout=300)

    def test_signing_out_and_clearing_the_token_log_out(self):
        auth.sign_out()
        auth.auth_token.clear_token()
        self.assertEqual(self.client.logout.call_count, 2)

    def test_stop_closes_the_client_and_keeps_the_session(self):
        auth.stop()
        self.assertEqual(self.client.method_calls, [mock.call.close()])


class FailureTest(DropInTestCase):
    def setUp(self):
        super().setUp()
        for name in ('get_auth_header', 'status', 'refresh', 'login', 'logout'):
            getattr(self.client, name).side_effect = NoDaemonError('no daemon is running')

    def test_nothing_raises_and_no_user_is_signed_in(self):
        self.assertEqual(auth.get_auth_headers(), {})
        self.assertEqual(auth.get_current_user(), {'is_authenticated': False})
        token = auth.auth_token
        self.assertFalse(token.is_authenticated())
        self.assertTrue(token.is_token_expired())
        self.assertIs(token.refresh_token(), False)
        self.assertIs(auth.initiate_clerk_signin(), False)
        auth.sign_out()
        for name in ('token', 'user_id', 'user_email', 'user_name', 'session_id', 'token_expiry'):
            self.assertIsNone(getattr(token, name), name)

    def test_a_failure_is_logged_with_what_the_user_can_do(self):
        cases = [
            (
                StoreUnavailableError('not logged', 1005, {'reason': 'other_installation', 'hint': 'run login'}),
                'StoreUnavailableError; other_installation; run login',
            ),
            (StoreUnavailableError('not logged', 1005, {'reason': 'key_locked'}), 'StoreUnavailableError; key_locked'),
            (NoDaemonError('it ended', 'start_failed', 'do that'), 'NoDaemonError; it ended; do that'),
        ]
        for error, text in cases:
            self.client.status.side_effect = error
            with self.subTest(text), self.assertLogs('cadzero_auth', 'INFO') as logs:
                auth.get_current_user()
            self.assertEqual(logs.output, [f'INFO:cadzero_auth:no status: {text}'])


class LegacyFileTest(DropInTestCase):
    def test_the_legacy_file_is_imported_once_in_the_background(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        legacy, script, report = (os.path.join(folder.name, name) for name in ('legacy', 'script.py', 'report'))
        with open(legacy, 'w', encoding='utf-8'), open(script, 'w', encoding='utf-8') as file:
            file.write(
                'import json, os, sys\n'
                "json.dump(sys.argv[1:], open(os.path.join(os.path.dirname(__file__), 'report'), 'x'))\n"
            )
        environment = {'CADZERO_AUTH_COMMAND': json.dumps([sys.executable, script])}
        with contextlib.ExitStack() as stack:
            stack.enter_context(mock.patch.dict(os.environ, environment))
            stack.enter_context(mock.patch.object(auth, '_LEGACY_FILE', legacy))
            stack.enter_context(mock.patch.object(auth, '_import_started', threading.Event()))
            logs = stack.enter_context(self.assertLogs('cadzero_auth', 'INFO'))
            for _ in range(3):
                auth.get_auth_headers()
            for thread in threading.enumerate():
                if thread.name == 'cadzero-auth-import':
                    thread.join(30)
        with open(report, encoding='utf-8') as file:
            self.assertEqual(json.load(file), ['import-legacy', legacy])
        self.assertEqual(logs.output, ['INFO:cadzero_auth:the legacy session was imported'])

    def test_without_a_legacy_file_nothing_is_started(self):
        with mock.patch.object(auth.threading, 'Thread') as thread:
            auth.get_auth_headers()
        thread.assert_not_called()


class AddInTest(unittest.TestCase):
    def test_inside_an_add_in_the_copied_package_beside_it_is_used(self):
        with tempfile.TemporaryDirectory() as folder:
            add_in = os.path.join(folder, 'add_in')
            shutil.copytree(os.path.join(FOLDER, 'cadzero_auth'), os.path.join(add_in, 'cadzero_auth'))
            shutil.copy(os.path.join(FOLDER, 'auth.py'), add_in)
            code = 'from add_in import auth; print(auth.cadzero_auth.__name__, type(auth.client).__module__)'
            process = subprocess.run(
                [sys.executable, '-B', '-c', code], cwd=folder, capture_output=True, check=True, encoding='utf-8'
            )
        self.assertEqual(process.stdout.split(), ['add_in.cadzero_auth', 'add_in.cadzero_auth.client'])
