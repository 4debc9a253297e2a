"""The drop-in auth.py: the names and shapes that the add-in expects, without a daemon."""

import _thread
import importlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import types
import unittest
from unittest import mock

import auth
import cadzero_auth
from cadzero_auth import (
    ConfigurationError,
    DaemonTimeoutError,
    InteractionRequiredError,
    NoDaemonError,
    SignInFailedError,
    SignOutPendingError,
    StoreUnavailableError,
)

FOLDER = os.path.dirname(os.path.abspath(auth.__file__))
HEADERS = {'Authorization': 'Bearer abc'}
USER = {'id': 'user_1', 'email': 'ada@example.com', 'name': 'Ada Lovelace'}
STATUS = {
    'state': 'signed_in',
    'profile': 'production',
    'user': USER,
    'sessionId': 'sess_1',
    'tokenExpiresAt': 1000,
    'authorizationUrl': None,
}
SHAPE = {
    'is_authenticated': True,
    'state': 'signed_in',
    'user_id': 'user_1',
    'user_email': 'ada@example.com',
    'user_name': 'Ada Lovelace',
    'error': None,
}
SIGNED_OUT = InteractionRequiredError('interaction required', 1001, {'reason': 'signed_out'})
STARTING = NoDaemonError('the daemon is starting', 'starting')
CLIENT = cadzero_auth.client.Client


class DropInTestCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.config = types.SimpleNamespace()
        self.add_in = cadzero_auth.AddIn(self.folder, self.config, auth.PROFILES)
        self.client = self.add_in.client = mock.create_autospec(self.add_in.client, instance=True)
        self.client.get_auth_header.return_value = HEADERS
        self.client.status.return_value = STATUS
        self.client.login.return_value = STATUS
        self.client.known_status.return_value = None
        self.client.is_signing_out.return_value = False
        patch = mock.patch.object(auth, '_add_in', self.add_in)
        patch.start()
        self.addCleanup(patch.stop)

    def fail(self, error, known=None):
        """Lets every call fail; `known` is the last status that the client has heard of."""
        for name in ('get_auth_header', 'status', 'refresh', 'login', 'sign_out'):
            getattr(self.client, name).side_effect = error
        self.client.known_status.return_value = known


class SignedInTest(DropInTestCase):
    def test_headers_come_from_the_client_and_open_no_browser(self):
        self.assertEqual(auth.get_auth_headers(), HEADERS)
        self.assertEqual(auth.auth_token.get_auth_header(), HEADERS)
        self.assertEqual(auth.auth_token.token, 'abc')
        self.client.get_auth_header.assert_called_with(None, timeout=0.2)

    def test_the_user_has_the_shape_of_the_palette(self):
        self.assertEqual(auth.get_current_user(), SHAPE)

    def test_the_token_object_has_the_attributes_of_the_old_one(self):
        token = auth.auth_token
        self.assertTrue(token.is_authenticated())
        self.assertFalse(token.is_token_expired())
        self.assertTrue(token.refresh_token())
        self.assertEqual((token.user_id, token.user_email, token.user_name), tuple(USER.values()))
        self.assertEqual((token.session_id, token.token_expiry), ('sess_1', 970))

    def test_saving_and_loading_a_token_do_nothing(self):
        auth.auth_token.save_token('x', user_id='x', user_email='x', user_name='x', session_id='x', token_expiry=1)
        auth.auth_token.load_token()
        self.assertEqual(self.client.method_calls, [])

    def test_a_sign_in_waits_five_minutes(self):
        self.assertIs(auth.initiate_clerk_signin(), True)
        self.client.login.assert_called_once_with(None, timeout=300)

    def test_signing_out_and_clearing_the_token_sign_out(self):
        auth.sign_out()
        auth.auth_token.clear_token()
        self.assertEqual(self.client.sign_out.call_count, 2)

    def test_stop_closes_the_client_without_a_long_wait_and_keeps_the_session(self):
        auth.stop()
        self.assertEqual(self.client.method_calls, [mock.call.close(0.2)])


class WaitTest(DropInTestCase):
    def test_the_main_thread_waits_a_fifth_of_a_second_and_another_thread_until_a_token_is_refreshed(self):
        auth.get_auth_headers()
        auth.get_current_user()
        auth.sign_out()
        thread = threading.Thread(target=auth.get_auth_headers)
        thread.start()
        thread.join(30)
        waits = [call.kwargs['timeout'] for call in self.client.method_calls if call.kwargs.get('timeout')]
        self.assertEqual(waits, [0.2, 0.2, 0.2, 15])

    def test_a_thread_that_python_has_not_started_is_fusions_own(self):
        done = threading.Event()

        def call():
            auth.get_auth_headers()
            done.set()

        _thread.start_new_thread(call, ())
        self.assertTrue(done.wait(30))
        self.client.get_auth_header.assert_called_with(None, timeout=0.2)

    def test_a_caller_may_ask_for_another_wait(self):
        auth.get_auth_headers(timeout=0)
        self.client.get_auth_header.assert_called_with(None, timeout=0)
        auth.sign_out(timeout=7)
        self.client.sign_out.assert_called_with(None, timeout=7)


class FailureTest(DropInTestCase):
    def test_a_daemon_that_is_starting_or_silent_never_looks_signed_out(self):
        for error, state in ((STARTING, 'starting'), (DaemonTimeoutError('x'), 'unavailable')):
            self.fail(error, known=STATUS)
            with self.subTest(state):
                user = auth.get_current_user()
                self.assertEqual({**user, 'error': None}, {**SHAPE, 'state': state})
                self.assertEqual(user['error']['code'], state)
                self.assertTrue(auth.auth_token.is_authenticated())
                self.assertEqual(auth.get_auth_headers(), {})
                self.assertEqual(auth.last_error().code, state)

    def test_before_anything_is_known_the_state_says_so(self):
        self.fail(STARTING)
        user = auth.get_current_user()
        self.assertEqual((user['is_authenticated'], user['state']), (False, 'starting'))

    def test_only_the_daemon_says_that_no_user_is_signed_in(self):
        self.client.status.return_value = {**STATUS, 'state': 'signed_out', 'user': None}
        self.assertEqual(auth.get_current_user(), {'is_authenticated': False, 'state': 'signed_out', 'error': None})
        self.client.get_auth_header.side_effect = SIGNED_OUT
        self.assertEqual(auth.get_auth_headers(), {})
        self.assertEqual(tuple(auth.last_error()), ('signed_out', 'You are not signed in.', 'Sign in.'))

    def test_a_success_clears_the_last_error(self):
        self.fail(STARTING)
        auth.get_auth_headers()
        self.assertIsNotNone(auth.last_error())
        self.client.get_auth_header.side_effect = None
        auth.get_auth_headers()
        self.assertIsNone(auth.last_error())

    def test_a_program_that_is_not_installed_is_no_cancelled_sign_in(self):
        self.fail(NoDaemonError('cadzero-auth is not installed', 'not_installed'))
        with self.assertRaisesRegex(NoDaemonError, 'not installed'):
            auth.initiate_clerk_signin()
        self.assertEqual(auth.last_error().message, 'The program cadzero-auth is not installed.')
        self.fail(SignInFailedError('sign-in failed', 1002, {'reason': 'cancelled'}))
        self.assertIs(auth.initiate_clerk_signin(), False)
        self.assertEqual(auth.last_error().message, 'The sign-in was cancelled.')

    def test_a_sign_out_that_is_not_confirmed_is_no_success(self):
        self.fail(SignOutPendingError('you are not signed out yet: x', data={'reason': 'starting', 'hint': 'wait'}))
        with self.assertRaisesRegex(SignOutPendingError, 'not signed out yet'):
            auth.sign_out()
        auth.auth_token.clear_token()
        self.assertEqual(auth.last_error().message, 'You are not signed out yet: x.')

    def test_a_user_who_has_signed_out_is_signed_out_for_the_palette_before_the_daemon_confirms(self):
        self.fail(DaemonTimeoutError('x'), known=STATUS)
        self.client.is_signing_out.return_value = True
        user = auth.get_current_user()
        self.assertEqual((user['is_authenticated'], user['state']), (False, 'signed_out'))
        self.assertEqual(user['error']['code'], 'unavailable')

    def test_the_old_attributes_are_none_without_a_daemon(self):
        self.fail(NoDaemonError('no daemon is running'))
        for name in ('token', 'user_id', 'user_email', 'user_name', 'session_id', 'token_expiry'):
            self.assertIsNone(getattr(auth.auth_token, name), name)
        self.assertIs(auth.auth_token.refresh_token(), False)
        self.assertTrue(auth.auth_token.is_token_expired())

    def test_a_failure_is_logged_with_what_the_user_can_do(self):
        data = {'reason': 'other_installation', 'hint': 'run login'}
        self.fail(StoreUnavailableError('not shown', 1005, data))
        with self.assertLogs('cadzero_auth', 'INFO') as logs:
            auth.get_current_user()
        text = 'no status: other_installation: Your session cannot be read at present. Run login.'
        self.assertEqual(logs.output, [f'INFO:cadzero_auth:{text}'])


class ProfileTest(DropInTestCase):
    def chosen(self):
        auth.get_auth_headers()
        return self.client.get_auth_header.call_args.args[0]

    def test_the_profile_follows_the_endpoint_that_the_palette_switches(self):
        for endpoint, profile in auth.PROFILES.items():
            for text in (endpoint, endpoint + '/'):
                self.config.current_endpoint = text
                self.assertEqual(self.chosen(), profile)
        auth.sign_out()
        self.assertEqual(self.client.sign_out.call_args.args, ('production',))

    def test_an_unknown_endpoint_gets_no_token_of_another_one(self):
        self.config.current_endpoint = 'https://evil.example'
        self.assertEqual(auth.get_auth_headers(), {})
        self.assertEqual(auth.last_error().code, 'unknown_endpoint')
        self.assertRegex(str(auth.last_error()), r'has no profile .* Add the endpoint to auth\.PROFILES')
        self.assertEqual(auth.get_current_user()['state'], 'unavailable')
        with self.assertRaises(ConfigurationError):
            auth.sign_out()
        self.assertIsNone(auth.sign_in_link())
        self.client.get_auth_header.assert_not_called()
        self.client.sign_out.assert_not_called()

    def test_a_call_and_the_add_in_may_choose_another_profile(self):
        self.config.current_endpoint = 'https://evil.example'
        auth.use_profile('staging')
        self.assertEqual(self.chosen(), 'staging')
        auth.get_auth_headers('local')
        self.assertEqual(self.client.get_auth_header.call_args.args, ('local',))


class SignInLinkTest(DropInTestCase):
    def test_the_link_is_given_without_waiting_once_the_daemon_has_made_it(self):
        self.assertIsNone(auth.sign_in_link())
        self.client.known_status.return_value = {
            **STATUS,
            'state': 'signing_in',
            'authorizationUrl': 'https://x/?state=1',
        }
        self.assertEqual(auth.sign_in_link(), 'https://x/?state=1')
        self.assertEqual(self.client.status.call_count, 0)

    def test_a_sign_in_is_started_in_the_background(self):
        for error in (None, STARTING):
            self.client.login.side_effect = error
            auth.start_sign_in(open_browser=False)
            for thread in threading.enumerate():
                if thread.name == 'cadzero-auth-sign-in':
                    thread.join(30)
            self.client.login.assert_called_with(None, open_browser=False, wait=False, timeout=300)
        self.assertEqual(auth.last_error().code, 'starting')


class LegacyFileTest(DropInTestCase):
    def import_threads(self):
        return [thread for thread in threading.enumerate() if thread.name == 'cadzero-auth-import']

    def test_the_legacy_file_is_imported_once_with_the_command_of_the_client(self):
        legacy, script = os.path.join(self.folder, '.auth_token.json'), os.path.join(self.folder, 'script.py')
        with open(legacy, 'w', encoding='utf-8'), open(script, 'w', encoding='utf-8') as file:
            file.write(
                'import json, os, sys\n'
                "json.dump(sys.argv[1:], open(os.path.join(os.path.dirname(__file__), 'report'), 'x'))\n"
            )
        self.client.find_command.return_value = [sys.executable, script]
        self.config.current_endpoint = 'http://localhost:4000'
        with self.assertLogs('cadzero_auth', 'INFO') as logs:
            for _ in range(3):
                auth.get_auth_headers()
            for thread in self.import_threads():
                thread.join(30)
        with open(os.path.join(self.folder, 'report'), encoding='utf-8') as file:
            self.assertEqual(json.load(file), ['import-legacy', legacy, '--profile', 'local'])
        self.assertEqual(logs.output, ['INFO:cadzero_auth:the legacy session was imported'])

    def test_a_client_finds_its_own_command_and_not_the_installed_one(self):
        self.assertEqual(CLIENT(command=sys.executable).find_command(), [sys.executable])

    def test_without_a_program_the_import_is_tried_again_later(self):
        with open(os.path.join(self.folder, '.auth_token.json'), 'w', encoding='utf-8'):
            self.client.find_command.return_value = None
        for times, now in ((1, 0.0), (1, 1.0), (2, 31.0)):
            with mock.patch('cadzero_auth.legacy.time.monotonic', return_value=now):
                auth.get_auth_headers()
            for thread in self.import_threads():
                thread.join(30)
            self.assertEqual(self.client.find_command.call_count, times)

    def test_without_a_legacy_file_nothing_is_started(self):
        auth.get_auth_headers()
        self.assertEqual(self.import_threads(), [])


class AddInTest(unittest.TestCase):
    def run_add_in(self, code, config=None):
        """Runs code in a Fusion that has the add-in `add_in`; returns the words that it prints."""
        with tempfile.TemporaryDirectory() as folder:
            add_in = os.path.join(folder, 'add_in')
            shutil.copytree(os.path.join(FOLDER, 'cadzero_auth'), os.path.join(add_in, 'cadzero_auth'))
            shutil.copy(os.path.join(FOLDER, 'auth.py'), add_in)
            if config is not None:
                with open(os.path.join(add_in, 'config.py'), 'w', encoding='utf-8') as file:
                    file.write(config)
            process = subprocess.run(
                [sys.executable, '-B', '-c', code], cwd=folder, capture_output=True, check=True, encoding='utf-8'
            )
        return process.stdout.split()

    def test_inside_an_add_in_the_copied_package_beside_it_is_used(self):
        code = 'from add_in import auth; print(auth.cadzero_auth.__name__, type(auth.client).__module__)'
        self.assertEqual(self.run_add_in(code), ['add_in.cadzero_auth', 'add_in.cadzero_auth.client'])

    def test_the_endpoint_is_read_from_the_config_of_the_add_in(self):
        code = (
            'from add_in import auth, config; print(auth._add_in.profile_of(None))\n'
            "config.current_endpoint = 'http://localhost:4000'; print(auth._add_in.profile_of(None))"
        )
        config = "current_endpoint = 'https://prod-utilities-c8p2.encr.app'\n"
        self.assertEqual(self.run_add_in(code, config), ['production', 'local'])

    def test_a_reload_closes_the_connection_of_the_module_before_it(self):
        with mock.patch.object(auth.client, 'close') as close:
            importlib.reload(auth)
        close.assert_called_once_with(0)

    def test_a_reload_keeps_the_sign_outs_that_wait_and_the_last_user(self):
        before = auth.client
        with mock.patch.object(cadzero_auth.Client, 'take_over', autospec=True) as take_over:
            importlib.reload(auth)
        take_over.assert_called_once_with(auth.client, before)
