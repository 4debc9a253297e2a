"""What a client tells about a daemon that it cannot reach: another computer, a firewall, limits of the program."""

import contextlib
import errno
import os
import socket
import subprocess
import sys
import threading
import unittest
from unittest import mock

if sys.platform != 'win32':
    import resource

import cadzero_auth
from cadzero_auth import Client, reachability
from cadzero_auth.discovery import Endpoint
from cadzero_auth.reachability import connection_error

from . import fake_daemon
from .fake_daemon import HEADER, ClientTestCase, FakeDaemon, answer_all, genuine

REFUSED = ConnectionRefusedError(errno.ECONNREFUSED, 'Connection refused')
DROPPED = socket.timeout('timed out')
BLOCKED = PermissionError(errno.EACCES, 'Permission denied')  # as security programs on Windows answer


def ended_process():
    """Returns the id of a process that has ended."""
    process = subprocess.Popen([sys.executable, '-c', ''])
    process.wait(30)
    return process.pid


class ReasonTest(unittest.TestCase):
    def reason(self, error=REFUSED, **members):
        """Returns the error for an endpoint of this computer with these members."""
        return connection_error(self.endpoint(**members), error)

    def endpoint(self, **members):
        named = {'pid': os.getpid(), 'host': socket.gethostname(), 'boot_id': reachability._boot_id(), **members}
        return Endpoint('127.0.0.1:1', 1, '/rpc', 'instance', b'key', **named)

    def test_a_living_process_that_cannot_be_connected_to_is_behind_a_firewall(self):
        for error in (REFUSED, DROPPED, BLOCKED):
            with self.subTest(error):
                found = self.reason(error)
                self.assertEqual(found.reason, 'unreachable')
                self.assertRegex(found.message, r'^the daemon \(process \d+\) runs, but connections to it are ')
                self.assertIn('allow connections to 127.0.0.1', found.hint)

    def test_a_process_that_has_ended_runs_no_daemon(self):
        self.assertEqual(self.reason(pid=ended_process()).reason, 'not_running')
        self.assertEqual(self.reason(pid=None).reason, 'not_running')

    @unittest.skipUnless(hasattr(os, 'getuid'), 'needs POSIX owners')
    def test_a_process_of_another_user_is_not_the_daemon_of_this_one(self):
        with mock.patch('os.kill', side_effect=PermissionError):
            self.assertEqual(self.reason().reason, 'not_running')

    def test_a_process_id_of_an_earlier_start_of_the_system_proves_nothing(self):
        with mock.patch.object(reachability, '_boot_id', return_value='now'):
            self.assertEqual(self.reason(boot_id='before').reason, 'not_running')
            self.assertEqual(self.reason(boot_id='now').reason, 'unreachable')
            self.assertEqual(self.reason(boot_id=None).reason, 'unreachable')

    def test_a_daemon_of_another_computer_is_named_by_its_computer(self):
        for error in (REFUSED, DROPPED):
            found = self.reason(error, host='workstation-7', pid=os.getpid())
            self.assertEqual(found.reason, 'other_host')
            self.assertEqual(
                found.message, 'the daemon runs on the computer workstation-7, which uses the same folders'
            )
            self.assertIn('use cadzero-auth on that computer', found.hint)

    def test_a_daemon_with_a_loopback_of_its_own_is_told_from_one_behind_a_firewall(self):
        links = {f'/proc/{os.getpid()}/ns/net': 'net:[1]', '/proc/self/ns/net': 'net:[2]'}
        with mock.patch('os.readlink', side_effect=links.__getitem__):
            found = self.reason()
        self.assertEqual(found.reason, 'other_network')
        self.assertRegex(found.message, r'^the daemon \(process \d+ on .+\) runs in another network namespace, ')
        with mock.patch('os.readlink', side_effect=FileNotFoundError):
            self.assertEqual(self.reason().reason, 'unreachable')

    def test_a_daemon_of_1_0_names_no_computer_and_the_case_of_a_name_does_not_matter(self):
        self.assertEqual(self.reason(host=None).reason, 'unreachable')
        self.assertEqual(self.reason(host=socket.gethostname().swapcase()).reason, 'unreachable')

    def test_limits_of_the_program_are_told_with_the_words_of_the_system(self):
        for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
            found = self.reason(OSError(number, os.strerror(number)), host='elsewhere')
            self.assertEqual(found.reason, 'resource_exhausted')
            self.assertIn(os.strerror(number), found.message)


class ClientReachabilityTest(ClientTestCase):
    def test_a_client_that_may_start_no_daemon_tells_at_once_where_it_runs(self):
        daemon, client = self.serve(genuine(answer_all))
        daemon.stop_listening()
        daemon.write_discovery_file(host='workstation-7')
        with self.assertRaisesRegex(cadzero_auth.NoDaemonError, 'on the computer workstation-7') as caught:
            client.get_auth_header(timeout=30)
        self.assertEqual(caught.exception.reason, 'other_host')

    def test_a_daemon_with_the_name_of_another_computer_that_responds_is_used(self):
        daemon, client = self.serve(genuine(answer_all))
        daemon.write_discovery_file(host='the-name-before-dhcp', bootId='x')
        self.assertEqual(client.get_auth_header(timeout=30), HEADER['headers'])

    def test_a_dropped_connection_leaves_time_to_tell_so_before_a_call_times_out(self):
        _, client = self.serve(genuine(answer_all))
        drop = mock.patch('socket.create_connection', side_effect=DROPPED)
        with drop as connect, self.assertRaises(cadzero_auth.NoDaemonError) as caught:
            client.get_auth_header(timeout=30)
        self.assertEqual(caught.exception.reason, 'unreachable')
        self.assertLessEqual(connect.call_args.args[1], 2)

    def test_a_call_that_times_out_during_a_start_tells_the_obstacle_that_is_known(self):
        daemon = FakeDaemon(genuine(answer_all))
        self.addCleanup(daemon.close)
        daemon.stop_listening()
        command = [sys.executable, '-c', 'import time; time.sleep(600)']  # as a daemon that waits for the lock
        client = Client(command=command, discovery=daemon.path)
        self.addCleanup(client.close)
        self.addCleanup(self.kill_started, client)
        connector = client._transport._running_worker().connector
        pause = threading.Event()
        while connector.launcher._process is None:
            with self.assertRaises(cadzero_auth.AuthError):
                client.get_auth_header(timeout=0)
            pause.wait(0.01)
        with self.assertRaises(cadzero_auth.AuthError) as caught:
            client.get_auth_header(timeout=0)
        self.assertEqual(caught.exception.reason, 'unreachable')

    def kill_started(self, client):
        process = client._transport._connector.launcher._process
        process.kill()
        process.wait(30)


@unittest.skipIf(sys.platform == 'win32', 'needs limits of POSIX')
class ManyFilesTest(ClientTestCase):
    def limit_files(self, number):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if hard not in (-1, resource.RLIM_INFINITY) and hard < number:
            self.skipTest(f'needs a hard limit of {number} open files')
        resource.setrlimit(resource.RLIMIT_NOFILE, (number, hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))

    def open_files(self, number):
        """Opens `number` files, or as many as the limit allows; returns the function that closes them."""
        files = contextlib.ExitStack()
        self.addCleanup(files.close)
        with contextlib.suppress(OSError):
            for _ in range(number):
                files.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        return files.close

    def test_a_client_connects_and_listens_in_a_program_with_more_than_1024_open_files(self):
        self.limit_files(2048)
        self.open_files(1100)
        heard = threading.Event()

        def talk(daemon, connection):
            connection.sendall(fake_daemon.encode_json({'method': 'sessionChanged', 'params': {}}))
            answer_all(daemon, connection)

        daemon, client = self.serve(genuine(talk))
        client.on_change(lambda status: heard.set())
        self.assertTrue(heard.wait(30))
        self.assertEqual(client.get_auth_header(timeout=30), HEADER['headers'])
        self.assertEqual(daemon.connections, 1)

    def test_a_program_that_may_open_no_more_files_is_told_so_and_recovers(self):
        _, client = self.serve(genuine(answer_all))
        self.limit_files(256)
        close_files = self.open_files(256)
        for call in (client.get_auth_header, lambda: client.on_change(print)):
            with self.assertRaises(cadzero_auth.NoDaemonError) as caught:
                call()
            self.assertEqual(caught.exception.reason, 'resource_exhausted')
        close_files()
        self.assertEqual(client.get_auth_header(timeout=30), HEADER['headers'])

    def test_a_program_that_reaches_its_limit_while_connected_keeps_its_connection(self):
        daemon, client = self.serve(genuine(answer_all))
        client.get_auth_header(timeout=30)
        self.limit_files(256)
        self.open_files(256)
        self.assertEqual(client.get_auth_header(timeout=30), HEADER['headers'])
        self.assertEqual(daemon.connections, 1)
