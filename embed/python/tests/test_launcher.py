"""The launcher: which command it finds, how it starts the daemon, and how often."""

import json
import os
import socket
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
        self.addCleanup(launcher.close)
        self.addCleanup(lambda: launcher._process.wait(30))
        with mock.patch('cadzero_auth.launcher.start_daemon', wraps=start_daemon) as start:
            self.assertTrue(launcher.start())
            launcher._process.wait(30)
            self.assertFalse(launcher.start())
            self.assertEqual(start.call_count, 1)

    def test_a_daemon_that_is_still_starting_is_waited_for_by_the_next_call(self):
        launcher = Launcher(self.script('import sys; sys.stdin.read(); import time; time.sleep(600)'), enabled=True)
        self.addCleanup(launcher.close)
        with mock.patch('cadzero_auth.launcher.start_daemon', wraps=start_daemon) as start:
            self.assertTrue(launcher.start())
            self.assertTrue(launcher.start())
            self.assertEqual(start.call_count, 1)
        self.assertEqual(launcher.failure().reason, 'start_timeout')
        launcher._process.kill()
        launcher._process.wait(30)
        if sys.platform != 'win32':
            self.assertIn('was ended by SIGKILL and printed no error', launcher.failure().message)

    def test_a_daemon_that_has_come_up_is_started_again_at_once(self):
        launcher = Launcher(self.script(''), enabled=True)
        self.addCleanup(lambda: launcher._process.wait(30))
        self.addCleanup(launcher.close)
        self.assertTrue(launcher.start())
        launcher._process.wait(30)
        self.assertTrue(launcher.has_exited)
        launcher.note_connected()
        self.assertIsNone(launcher.failure())
        self.assertTrue(launcher.start())

    def test_nothing_is_started_if_that_is_disabled_or_no_command_is_found(self):
        self.assertFalse(Launcher(self.script(''), enabled=False).start())
        self.assertFalse(Launcher(os.path.join(self.folder, 'missing'), enabled=True).start())

    def test_a_command_that_does_not_run_is_logged_by_the_kind_of_its_error(self):
        path = os.path.join(self.folder, 'not-executable')
        with open(path, 'w', encoding='utf-8'):
            pass
        launcher = Launcher(path, enabled=True)
        with self.assertLogs('cadzero_auth', 'WARNING') as logs:
            self.assertFalse(launcher.start())
        self.assertRegex(logs.output[0], r'the daemon could not be started: \w+Error$')
        self.assertEqual(launcher.failure().reason, 'start_failed')
        self.assertIn(f'the daemon could not be started: {path}: ', launcher.failure().message)


class FailureTest(LauncherTestCase):
    def failure(self, command):
        """Returns why a start of this command failed, which the client tells its caller."""
        missing = os.path.join(self.folder, 'endpoint.json')
        with Client(command=command, discovery=missing) as client:
            for _ in range(2):  # the second call starts nothing, and must not say less
                with self.assertRaises(cadzero_auth.NoDaemonError) as caught:
                    client.get_auth_header(timeout=60)
        return caught.exception

    def failure_of_output(self, output, code=1):
        return self.failure(self.script(f'import sys; sys.stderr.write({output!r}); sys.exit({code})'))

    @unittest.skipIf(sys.platform == 'win32', 'needs scripts of POSIX')
    def test_a_program_whose_interpreter_is_missing_is_told_in_the_words_of_the_system(self):
        path = os.path.join(self.folder, 'cadzero-auth')
        with open(path, 'w', encoding='utf-8') as file:
            file.write('#!/usr/bin/env no-such-interpreter\n')
        os.chmod(path, 0o700)
        failure = self.failure(path)
        self.assertEqual(failure.reason, 'start_failed')
        self.assertRegex(
            failure.message,
            r'^the daemon was started, but ended with code 127: .*env: .?no-such-interpreter.?: No such',
        )
        self.assertIn('set CADZERO_AUTH_COMMAND', failure.hint)

    def test_the_error_and_the_hint_of_a_daemon_are_passed_on(self):
        output = 'a warning\nerror: cannot lock: /home/a/daemon.lock: No locks available\nhint: use a local disk\n'
        failure = self.failure_of_output(output)
        self.assertEqual(
            failure.message,
            'the daemon was started, but ended with code 1: cannot lock: /home/a/daemon.lock: No locks available',
        )
        self.assertEqual(failure.hint, 'use a local disk')
        self.assertEqual(str(failure), f'{failure.message}; use a local disk')

    def test_a_stack_trace_is_told_by_its_error(self):
        for output in (
            f'/x/program.cjs:1\n{"x" * 70_000}\n  ^\n\nError: no home\n    at f (/x:1:2)\n\nNode.js v20.20.0\n',
            'Traceback (most recent call last):\n  File "x", line 1\nOSError: no home\n',
        ):
            with self.subTest(output[-40:]):
                self.assertRegex(self.failure_of_output(output).message, r'ended with code 1: \w*Error: no home$')

    def test_long_and_unprintable_output_is_cut(self):
        failure = self.failure_of_output('error: \x1b[2Jdead ' + 'x' * 8000 + '\n')
        self.assertIn('ended with code 1: [2Jdead xxx', failure.message)
        self.assertLess(len(failure.message), 600)
        self.assertLess(len(self.failure_of_output('y' * 1_000_000).message), 600)

    def test_a_daemon_that_prints_nothing_is_told_by_its_code(self):
        self.assertEqual(
            self.failure_of_output('', 3).message, 'the daemon was started, but ended with code 3 and printed no error'
        )

    def test_a_start_works_without_a_folder_for_temporary_files(self):
        with mock.patch('tempfile.TemporaryFile', side_effect=FileNotFoundError):
            self.assertIn('ended with code 3', self.failure_of_output('lost', 3).message)

    def test_a_command_that_is_not_installed_is_told(self):
        failure = self.failure(os.path.join(self.folder, 'missing'))
        self.assertEqual((failure.reason, failure.message), ('not_installed', 'cadzero-auth is not installed'))

    def test_a_client_that_may_start_nothing_says_how_to_start_the_daemon(self):
        client = Client(start=False, discovery=os.path.join(self.folder, 'x'))
        self.addCleanup(client.close)
        with self.assertRaises(cadzero_auth.NoDaemonError) as caught:
            client.get_auth_header(timeout=60)
        self.assertEqual(str(caught.exception), 'no daemon is running; run cadzero-auth status to start it')

    def test_the_reason_names_the_obstacle_that_the_started_daemon_found_too(self):
        daemon = FakeDaemon(genuine(answer_all))
        self.addCleanup(daemon.close)
        daemon.stop_listening()
        daemon.write_discovery_file(host='workstation-7')
        same = 'error: the daemon runs on the computer workstation-7, which uses the same folders'
        for output, reason in ((same, 'other_host'), ('error: cannot lock: No locks available', 'cannot_lock')):
            command = self.script(f'import sys; sys.stderr.write({output!r}); sys.exit(1)')
            with self.subTest(output), Client(command=command, discovery=daemon.path) as client:
                with self.assertRaises(cadzero_auth.NoDaemonError) as caught:
                    client.get_auth_header(timeout=60)
                self.assertEqual(caught.exception.reason, reason)
                self.assertIn(output[len('error: ') :], caught.exception.message)

    def test_a_file_that_another_computer_left_behind_does_not_keep_the_daemon_from_starting(self):
        daemon = FakeDaemon(genuine(answer_all))
        self.addCleanup(daemon.close)
        stale = os.path.join(self.folder, 'endpoint.json')
        with open(stale, 'w', encoding='utf-8') as file:
            json.dump(daemon.document(host='workstation-7', endpoint=f'127.0.0.1:{unused_port()}'), file)
        os.chmod(stale, 0o600)
        command = self.script(f'import os; os.rename({daemon.path!r}, {stale!r})')
        with Client(command=command, discovery=stale) as client:
            self.assertEqual(client.get_auth_header(timeout=60), HEADER['headers'])
            client._transport._connector.launcher._process.wait(30)


def unused_port():
    with socket.create_server(('127.0.0.1', 0)) as server:
        return server.getsockname()[1]


class ClientStartTest(LauncherTestCase):
    def test_a_client_starts_a_missing_daemon_and_calls_it(self):
        daemon = FakeDaemon(genuine(answer_all))
        self.addCleanup(daemon.close)
        os.rename(daemon.path, daemon.path + '.later')
        command = self.script(f'import os; os.rename({daemon.path + ".later"!r}, {daemon.path!r})')
        with Client(command=command, discovery=daemon.path) as client:
            self.assertEqual(client.get_auth_header(timeout=60), HEADER['headers'])
            client._transport._connector.launcher._process.wait(30)

    def test_a_daemon_that_exits_fails_the_call_before_its_timeout(self):
        missing = os.path.join(self.folder, 'endpoint.json')
        client = Client(command=self.script(''), discovery=missing)
        self.addCleanup(client.close)
        with mock.patch('cadzero_auth.connector.START_SECONDS', 3600), self.assertRaises(cadzero_auth.NoDaemonError):
            client.get_auth_header(timeout=60)
