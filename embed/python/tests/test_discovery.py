"""The discovery file: its path, its permissions and its content."""

import errno
import os
import subprocess
import sys
import unittest
from unittest import mock

import cadzero_auth
from cadzero_auth import Client
from cadzero_auth.discovery import Endpoint

from .fake_daemon import HEADER, ClientTestCase, answer_all, base64url, genuine

KEY = bytes(range(32))
NONCE = 'AAAAAAAAAAAAAAAAAAAAAA'
DOCUMENT = {
    'version': 1,
    'endpoint': '127.0.0.1:49152',
    'path': '/rpc',
    'instance': 'AAAAAAAAAAAAAAAAAAAAAA',
    'key': base64url(KEY),
}
POSIX = hasattr(os, 'getuid')


class PathTest(unittest.TestCase):
    def test_the_home_variable_overrides_every_folder(self):
        with mock.patch.dict(os.environ, {'CADZERO_AUTH_HOME': os.path.join(os.sep, 'x')}):
            self.assertEqual(cadzero_auth.discovery_file(), os.path.join(os.sep, 'x', 'data', 'endpoint.json'))


class EndpointTest(unittest.TestCase):
    def test_a_document_of_version_1_is_parsed_and_unknown_members_are_ignored(self):
        endpoint = Endpoint.parse({**DOCUMENT, 'pid': 7, 'host': 'pc', 'bootId': 'b', 'later': {'version': [2]}})
        self.assertEqual(endpoint, Endpoint('127.0.0.1:49152', 49152, '/rpc', DOCUMENT['instance'], KEY, 7, 'pc', 'b'))

    def test_a_member_that_only_explains_failures_is_ignored_if_it_is_invalid(self):
        for changes in (
            {},
            {'pid': 0, 'host': '', 'bootId': None},
            {'pid': -1, 'host': 5, 'bootId': {}},
            {'pid': True, 'host': 'a\nb', 'bootId': 'x' * 256},
            {'pid': 1 << 31, 'host': '\x1b[2J', 'bootId': []},
        ):
            with self.subTest(changes):
                endpoint = Endpoint.parse({**DOCUMENT, **changes})
                self.assertEqual((endpoint.pid, endpoint.host, endpoint.boot_id), (None, None, None))

    def test_any_other_value_is_rejected_by_the_name_of_its_member(self):
        cases = [
            ('version', 2),
            ('version', None),
            ('key', 'short'),
            ('instance', 5),
            ('path', '/rpc\r\nX: y'),
            ('path', 'rpc'),
            *(('endpoint', value) for value in ('127.0.0.2:80', 'localhost:80', '127.0.0.1', '[::1]:80')),
            *(('endpoint', value) for value in ('127.0.0.1:80@evil.example', '127.0.0.1:0', '127.0.0.1:65536')),
        ]
        for name, value in cases:
            with self.subTest(name, value=value), self.assertRaisesRegex(ValueError, name):
                Endpoint.parse({**DOCUMENT, name: value})
        for value in ([], None, 'text'):
            with self.subTest(value), self.assertRaises(ValueError):
                Endpoint.parse(value)

    def test_the_mac_is_the_one_of_the_wire_contract(self):
        endpoint = Endpoint.parse(DOCUMENT)
        self.assertEqual(endpoint.mac('client', NONCE), 'ipNT149ixz_c1X0yGBZr5K0O71ER4_97IsFryVOUj58')
        self.assertEqual(endpoint.mac('server', NONCE), 'YmSjIjVoz_Of4Eyze4D3pKTiOyLhBC9tJK-AXUz8a-0')

    def test_the_key_is_not_in_the_representation(self):
        self.assertNotIn(repr(KEY), repr(Endpoint.parse(DOCUMENT)))


class FileTest(ClientTestCase):
    def assert_refused(self, error, **changes):
        daemon, client = self.serve(genuine(answer_all))
        daemon.write_discovery_file(**changes)
        with self.assertRaises(error):
            client.get_auth_header()
        self.assertEqual(daemon.connections, 0)

    @unittest.skipUnless(POSIX, 'needs POSIX permissions')
    def test_a_file_that_other_users_can_read_or_write_is_not_trusted(self):
        for mode in (0o640, 0o620, 0o604, 0o602):
            with self.subTest(oct(mode)):
                self.assert_refused(cadzero_auth.NotGenuineError, mode=mode)

    @unittest.skipUnless(POSIX, 'needs POSIX owners')
    def test_a_file_of_another_user_is_not_trusted(self):
        with mock.patch('os.getuid', return_value=os.getuid() + 1):
            self.assert_refused(cadzero_auth.NotGenuineError)

    @unittest.skipUnless(POSIX, 'needs POSIX links and pipes')
    def test_a_link_and_a_pipe_are_not_followed(self):
        daemon, _ = self.serve(genuine(answer_all))
        link, pipe = daemon.path + '.link', daemon.path + '.pipe'
        os.symlink(daemon.path, link)
        os.mkfifo(pipe, 0o600)
        for path in (link, pipe):
            with Client(start=False, discovery=path) as client, self.assertRaises(cadzero_auth.NotGenuineError):
                client.get_auth_header()

    def test_an_invalid_or_missing_file_means_that_no_daemon_is_running(self):
        self.assert_refused(cadzero_auth.NoDaemonError, version=2)
        self.assert_refused(cadzero_auth.NoDaemonError, endpoint='127.0.0.1:65536')
        daemon, client = self.serve(genuine(answer_all))
        for content in (b'', b'{', b'\xff', b'[]'):
            with open(daemon.path, 'wb') as file:
                file.write(content)
            with self.subTest(content), self.assertRaises(cadzero_auth.NoDaemonError):
                client.get_auth_header()
        os.remove(daemon.path)
        with self.assertRaises(cadzero_auth.NoDaemonError):
            client.get_auth_header()

    def test_unknown_members_of_a_later_daemon_do_not_keep_a_client_from_connecting(self):
        daemon, client = self.serve(genuine(answer_all))
        daemon.write_discovery_file(later={'nested': ['x' * 8000]}, version2=None)
        self.assertEqual(client.get_auth_header(timeout=30), HEADER['headers'])

    def test_a_limit_of_open_files_is_not_taken_for_a_file_of_another_user(self):
        _, client = self.serve(genuine(answer_all))
        error = OSError(errno.EMFILE, 'Too many open files')
        with mock.patch('os.open', side_effect=error), self.assertRaises(cadzero_auth.NoDaemonError) as caught:
            client.get_auth_header(timeout=30)
        self.assertEqual(caught.exception.reason, 'resource_exhausted')
        self.assertIn('Too many open files', str(caught.exception))

    def test_a_stale_file_means_that_no_daemon_is_running(self):
        daemon, client = self.serve(genuine(answer_all))
        daemon.stop_listening()
        process = subprocess.Popen([sys.executable, '-c', ''])
        process.wait(30)
        daemon.write_discovery_file(pid=process.pid)
        with self.assertRaises(cadzero_auth.NoDaemonError) as caught:
            client.get_auth_header(timeout=30)
        self.assertEqual(caught.exception.reason, 'not_running')
