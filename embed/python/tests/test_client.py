"""The client's methods: the params they send, the results they return and the errors they raise."""

import ast
import copy
import os
import pickle
import subprocess
import sys
import unittest
from unittest import mock

import cadzero_auth
from cadzero_auth.errors import ERRORS_BY_CODE, NO_DAEMON_HINTS, error_from_response
from cadzero_auth.transport import Transport

from . import fake_daemon
from .fake_daemon import HEADER, ClientTestCase, genuine, result_of

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
AUTH = os.path.join(FOLDER, 'auth.py')
BEARER = HEADER['headers']


class MethodTest(ClientTestCase):
    def record(self, result):
        """Returns a client whose calls all have this result, and the list of its calls."""
        calls = []

        def talk(daemon, connection):
            while True:
                call = daemon.read_call(connection)
                calls.append((call['method'], call['params']))
                connection.sendall(fake_daemon.encode_frame(result_of(call, result)))

        return self.serve(genuine(talk))[1], calls

    def test_each_method_sends_the_params_that_are_given(self):
        client, calls = self.record({**HEADER, 'state': 'signed_in'})
        client.get_auth_header()
        client.get_auth_header('local', interactive=True, min_validity_seconds=30)
        client.refresh()
        client.refresh('Bearer old', 'local')
        client.login(environment={'DISPLAY': ':5'})
        client.login('local', open_browser=False, wait=False, timeout=0.5)
        client.login(prompt='login', environment={})
        client.login(method='device', wait=False, environment={'DISPLAY': ':5'})
        client.cancel_login()
        client.logout('local')
        client.status()
        client.diagnose('local')
        client.call('later', {'profile': 'local'})
        self.assertEqual(
            calls,
            [
                ('getAuthHeader', {'interactive': False}),
                ('getAuthHeader', {'profile': 'local', 'interactive': True, 'minValiditySeconds': 30}),
                ('refresh', {}),
                ('refresh', {'profile': 'local', 'rejected': 'Bearer old'}),
                (
                    'login',
                    {
                        'openBrowser': True,
                        'wait': True,
                        'timeoutSeconds': 300.0,
                        'environment': {'DISPLAY': ':5'},
                    },
                ),
                ('login', {'profile': 'local', 'openBrowser': False, 'wait': False, 'timeoutSeconds': 1.0}),
                ('login', {'openBrowser': True, 'wait': True, 'timeoutSeconds': 300.0, 'prompt': 'login'}),
                ('login', {'openBrowser': True, 'wait': False, 'timeoutSeconds': 300.0, 'method': 'device'}),
                ('cancelLogin', {}),
                ('logout', {'profile': 'local'}),
                ('status', {}),
                ('diagnose', {'profile': 'local'}),
                ('later', {'profile': 'local'}),
            ],
        )

    def test_a_sign_in_hands_over_the_desktop_of_this_process_and_nothing_else(self):
        client, calls = self.record({'state': 'signed_in'})
        desktop = {'DISPLAY': ':5', 'LANG': 'ja_JP.UTF-8'}
        others = {'PATH': '/bin', 'LD_PRELOAD': '/x.so'}
        refused = {'BROWSER': '', 'XMODIFIERS': 'x' * 5000, 'GDK_BACKEND': '\udcff'}
        with mock.patch.dict(os.environ, {**desktop, **others, **refused}, clear=True):
            client.login()
        self.assertEqual(calls[0][1]['environment'], desktop)
        with mock.patch.dict(os.environ, {}, clear=True):
            client.login()
        self.assertNotIn('environment', calls[1][1])

    def test_a_sign_in_goes_on_without_the_desktop_if_an_older_daemon_does_not_know_it(self):
        client = cadzero_auth.Client(start=False)
        refused = cadzero_auth.AuthError('invalid params', -32602)
        answers = [refused, {'state': 'signed_in'}]
        display = mock.patch.dict(os.environ, {'DISPLAY': ':5'})
        with display, mock.patch.object(Transport, 'call', side_effect=answers) as call:
            self.assertEqual(client.login(), {'state': 'signed_in'})
        self.assertEqual(['environment' in arguments.args[1] for arguments in call.call_args_list], [True, False])
        with mock.patch.object(Transport, 'call', side_effect=refused), self.assertRaises(cadzero_auth.AuthError):
            client.login(environment={'PATH': '/tmp'})

    def test_a_sign_in_leaves_the_daemon_two_more_seconds_to_report_its_own_timeout(self):
        client = cadzero_auth.Client(start=False)
        with mock.patch.object(Transport, 'call', return_value={}) as call:
            client.login(timeout=5)
            client.login(timeout=5, wait=False)
        self.assertEqual([arguments.args[2] for arguments in call.call_args_list], [7, 5])

    def test_methods_return_the_headers_or_the_result(self):
        client, _ = self.record({**HEADER, 'state': 'signed_in'})
        self.assertEqual(client.get_auth_header(), BEARER)
        self.assertEqual(client.refresh(), BEARER)
        self.assertEqual(client.status()['state'], 'signed_in')

    def test_an_invalid_result_is_an_error(self):
        for result in (None, [], {}, {'headers': []}, {'headers': {'Authorization': 5}}):
            client, _ = self.record(result)
            with self.subTest(result), self.assertRaisesRegex(cadzero_auth.AuthError, 'invalid response'):
                client.get_auth_header()
        client, _ = self.record([])
        with self.assertRaisesRegex(cadzero_auth.AuthError, 'invalid response'):
            client.status()

    def test_an_error_response_is_raised(self):
        def talk(daemon, connection):
            call = daemon.read_call(connection)
            error = {'code': 1001, 'message': 'interaction required', 'data': {'reason': 'signed_out'}}
            connection.sendall(fake_daemon.encode_json({'jsonrpc': '2.0', 'id': call['id'], 'error': error}))

        _, client = self.serve(genuine(talk))
        with self.assertRaisesRegex(cadzero_auth.InteractionRequiredError, 'interaction required') as caught:
            client.get_auth_header()
        self.assertEqual((caught.exception.code, caught.exception.reason), (1001, 'signed_out'))

    def test_members_that_a_later_daemon_adds_to_a_result_do_no_harm_and_call_returns_them(self):
        result = {**HEADER, 'refreshAt': 5, 'later': [1]}
        client, _ = self.record(result)
        self.assertEqual(client.get_auth_header(), BEARER)
        self.assertEqual(client.refresh(), BEARER)
        self.assertEqual(client.call('getAuthHeader'), result)


class ErrorTest(unittest.TestCase):
    def test_each_code_of_the_contract_has_its_class(self):
        self.assertEqual(sorted(ERRORS_BY_CODE), list(range(1001, 1008)))
        for code, kind in ERRORS_BY_CODE.items():
            error = error_from_response({'code': code, 'message': 'a text', 'data': {'reason': 'why'}})
            self.assertIs(type(error), kind)
            self.assertEqual((str(error), error.code, error.reason), ('a text', code, 'why'))

    def test_the_hint_of_the_daemon_is_shown(self):
        hint = 'run cadzero-auth login --take-over'
        data = {'reason': 'other_installation', 'hint': hint}
        error = error_from_response({'code': 1005, 'message': 'store unavailable', 'data': data})
        self.assertEqual((error.message, error.hint, error.reason), ('store unavailable', hint, 'other_installation'))
        self.assertEqual(str(error), f'store unavailable; {hint}')
        for data in (None, {}, {'hint': 5}):
            error = error_from_response({'code': 1005, 'message': 'store unavailable', 'data': data})
            self.assertEqual((error.hint, str(error)), (None, 'store unavailable'))

    def test_an_error_survives_copying_and_pickling(self):
        first = cadzero_auth.NoDaemonError('it ended', 'start_failed', 'do that')
        second = error_from_response({'code': 1003, 'message': 'x', 'data': {'reason': 'network'}})
        for error in (first, second):
            for again in (copy.copy(error), pickle.loads(pickle.dumps(error))):
                self.assertIs(type(again), type(error))
                self.assertEqual((str(again), again.data, again.code), (str(error), error.data, error.code))

    def test_every_reason_of_a_missing_daemon_has_a_hint_and_a_row_in_the_readme(self):
        with open(os.path.join(FOLDER, 'README.md'), encoding='utf-8') as file:
            readme = file.read()
        for reason, hint in NO_DAEMON_HINTS.items():
            self.assertEqual(cadzero_auth.NoDaemonError('x', reason).hint, hint)
            self.assertIn(f'| `{reason}` |', readme)

    def test_an_unknown_code_and_an_invalid_error_are_a_plain_auth_error(self):
        for value in ({'code': -32601, 'message': 'x'}, {'code': 'x', 'data': 5}, {}, None, 5):
            error = error_from_response(value)
            self.assertIs(type(error), cadzero_auth.AuthError)
            self.assertIsNone(error.reason)

    def test_retry_after_seconds_is_a_number_or_none(self):
        for value, seconds in ((7, 7.0), (0.5, 0.5), ('7', None), (None, None)):
            error = error_from_response({'code': 1003, 'message': 'x', 'data': {'retryAfterSeconds': value}})
            self.assertEqual(error.retry_after_seconds, seconds)


class PackageTest(unittest.TestCase):
    def sources(self):
        package = os.path.join(FOLDER, 'cadzero_auth')
        names = [os.path.join(package, name) for name in sorted(os.listdir(package)) if name.endswith('.py')]
        return [*names, AUTH]

    @unittest.skipUnless(hasattr(sys, 'stdlib_module_names'), 'needs the list of modules of Python 3.10')
    def test_only_the_standard_library_is_imported(self):
        for source in self.sources():
            with open(source, encoding='utf-8') as file:
                tree = ast.parse(file.read())
            for node in ast.walk(tree):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module]
                allowed = {*sys.stdlib_module_names, *(['cadzero_auth'] if source == AUTH else [])}
                for name in names:
                    self.assertIn(name.split('.')[0], allowed, source)

    def test_every_public_name_is_exported(self):
        for name in cadzero_auth.__all__:
            self.assertTrue(hasattr(cadzero_auth, name), name)
        classes = [*ERRORS_BY_CODE.values(), cadzero_auth.NoDaemonError, cadzero_auth.NotGenuineError]
        for kind in (*classes, cadzero_auth.ConnectionLostError, cadzero_auth.DaemonTimeoutError):
            self.assertTrue(issubclass(kind, cadzero_auth.AuthError))
            self.assertIn(kind.__name__, cadzero_auth.__all__)

    def test_importing_the_package_starts_no_thread(self):
        code = 'import threading, cadzero_auth; cadzero_auth.Client(); print(threading.active_count())'
        process = subprocess.run([sys.executable, '-B', '-c', code], cwd=FOLDER, capture_output=True, check=True)
        self.assertEqual(process.stdout.strip(), b'1')
