"""The launcher: which command it finds, how it starts the daemon, and how often."""

import json
import os
import sys
import tempfile
import unittest
from unittest import mock

import cadzero_auth
from cadzero_auth import Client
from cadzero_auth.launcher import Launcher, child_environment, start_daemon

from .fake_daemon import HEADER, FakeDaemon, answer_all, genuine

HERE = os.path.abspath(__file__)


class LauncherTestCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        environment = {key: value for key, value in os.environ.items() if key != 'CADZERO_AUTH_COMMAND'}
        patch = mock.patch.dict(os.environ, environment, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def script(self, code):
        """Returns the command that runs this Python code."""
        path = os.path.join(self.folder, 'script.py')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(code)
        return [sys.executable, path]


class CommandTest(LauncherTestCase):
    def test_a_given_command_must_be_an_absolute_path_that_exists(self):
        self.assertEqual(cadzero_auth.find_command(HERE), [HERE])
        self.assertEqual(cadzero_auth.find_command([HERE, 'x']), [HERE, 'x'])
        for command in (os.path.relpath(HERE), os.path.join(self.folder, 'missing'), ['node', HERE]):
            with self.subTest(command):
                self.assertIsNone(cadzero_auth.find_command(command))

    def test_the_environment_overrides_the_given_command(self):
        for value, command in ((HERE, [HERE]), (json.dumps([HERE, 'y']), [HERE, 'y']), ('[broken', None), ('x', None)):
            with self.subTest(value), mock.patch.dict(os.environ, {'CADZERO_AUTH_COMMAND': value}):
                self.assertEqual(cadzero_auth.find_command([HERE, 'given']), command)

    @unittest.skipIf(sys.platform == 'win32', 'needs POSIX permissions')
    def test_an_installed_command_is_found_on_the_path_and_in_the_home_folder(self):
        for folder in ('on-path', os.path.join('.local', 'bin')):
            program = os.path.join(self.folder, folder, 'cadzero-auth')
            os.makedirs(os.path.dirname(program))
            with open(program, 'w', encoding='utf-8'):
                os.chmod(program, 0o700)
            with mock.patch.dict(os.environ, {'PATH': os.path.join(self.folder, 'on-path'), 'HOME': self.folder}):
                self.assertEqual(cadzero_auth.find_command(), [program])
            os.remove(program)


class StartTest(LauncherTestCase):
    def test_a_daemon_inherits_no_variable_that_changes_what_it_runs(self):
        names = ('NODE_OPTIONS', 'PYTHONPATH', 'ELECTRON_RUN_AS_NODE', 'LD_PRELOAD', 'DYLD_INSERT_LIBRARIES')
        secret = 'CADZERO_AUTH_PASSPHRASE'
        kept = {'CADZERO_AUTH_HOME': 'kept', 'NODE_EXTRA_CA_CERTS': '/ca.pem', 'HTTPS_PROXY': 'http://proxy:3128'}
        with mock.patch.dict(os.environ, {**dict.fromkeys((*names, secret), 'x'), **kept}):
            environment = child_environment()
        self.assertFalse({*names, secret} & set(environment))
        self.assertEqual({name: environment[name] for name in kept}, kept)

    def test_a_daemon_gets_its_arguments_and_the_passphrase_on_standard_input(self):
        command = self.script(
            'import json, os, sys\n'
            'report = [sys.argv[1:], sys.stdin.read(), sorted(os.environ)]\n'
            "json.dump(report, open(os.path.join(os.path.dirname(__file__), 'report'), 'w'))\n"
        )
        with mock.patch.dict(os.environ, {'CADZERO_AUTH_PASSPHRASE': 'secret', 'NODE_OPTIONS': '--inspect'}):
            self.assertEqual(start_daemon(command).wait(30), 0)
        with open(os.path.join(self.folder, 'report'), encoding='utf-8') as file:
            arguments, standard_input, names = json.load(file)
        self.assertEqual(arguments, ['daemon', '--passphrase-stdin'])
        self.assertEqual(standard_input, 'secret')
        self.assertFalse({'CADZERO_AUTH_PASSPHRASE', 'NODE_OPTIONS'} & set(names))

    def test_a_daemon_that_exits_at_once_is_no_error(self):
        with mock.patch.dict(os.environ, {'CADZERO_AUTH_PASSPHRASE': 'x' * 1_000_000}):
            self.assertEqual(start_daemon(self.script('raise SystemExit(3)')).wait(30), 3)


class RateTest(LauncherTestCase):
    def test_a_daemon_that_does_not_come_up_is_not_started_again_at_once(self):
        launcher = Launcher(self.script(''), enabled=True)
        self.addCleanup(lambda: launcher._process.wait(30))
        with mock.patch('cadzero_auth.launcher.start_daemon', wraps=start_daemon) as start:
            self.assertTrue(launcher.start())
            self.assertFalse(launcher.start())
            self.assertEqual(start.call_count, 1)

    def test_a_daemon_that_has_come_up_is_started_again_at_once(self):
        launcher = Launcher(self.script(''), enabled=True)
        self.addCleanup(lambda: launcher._process.wait(30))
        self.assertTrue(launcher.start())
        launcher._process.wait(30)
        self.assertTrue(launcher.has_exited)
        launcher.note_connected()
        self.assertTrue(launcher.start())

    def test_nothing_is_started_if_that_is_disabled_or_no_command_is_found(self):
        self.assertFalse(Launcher(self.script(''), enabled=False).start())
        self.assertFalse(Launcher(os.path.join(self.folder, 'missing'), enabled=True).start())

    def test_a_command_that_does_not_run_is_logged_by_the_kind_of_its_error(self):
        path = os.path.join(self.folder, 'not-executable')
        with open(path, 'w', encoding='utf-8'):
            pass
        with self.assertLogs('cadzero_auth', 'WARNING') as logs:
            self.assertFalse(Launcher(path, enabled=True).start())
        self.assertRegex(logs.output[0], r'the daemon could not be started: \w+Error$')


class ClientStartTest(LauncherTestCase):
    def test_a_client_starts_a_missing_daemon_and_calls_it(self):
        daemon = FakeDaemon(genuine(answer_all))
        self.addCleanup(daemon.close)
        os.rename(daemon.path, daemon.path + '.later')
        command = self.script(f'import os; os.rename({daemon.path + ".later"!r}, {daemon.path!r})')
        with Client(command=command, discovery=daemon.path) as client:
            self.assertEqual(client.get_auth_header(timeout=60), HEADER['headers'])
            client._transport._launcher._process.wait(30)

    def test_a_daemon_that_exits_fails_the_call_before_its_timeout(self):
        missing = os.path.join(self.folder, 'endpoint.json')
        client = Client(command=self.script(''), discovery=missing)
        self.addCleanup(client.close)
        with mock.patch('cadzero_auth.transport.START_SECONDS', 3600), self.assertRaises(cadzero_auth.NoDaemonError):
            client.get_auth_header(timeout=60)
