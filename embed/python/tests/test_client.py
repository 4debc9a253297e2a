"""The client against what is not the daemon: it says nothing to a stranger, and never keeps a caller waiting."""

import json
import os
import socket
import threading
import time
import unittest

import hostile
from hostile import Server, frame, reply

import cadzero_auth
from cadzero_auth import Client

HEADER = {'headers': {'Authorization': 'Bearer abc'}, 'expiresAt': 1}


def genuine(talk):
    """A daemon that proves itself and then does what `talk(server, connection)` says."""

    def behave(server, connection, head):
        connection.sendall(server.answer(head))
        talk(server, connection)

    return behave


def answer_all(server, connection):
    while True:
        received = server.read_frame(connection)
        if received is None:
            return
        if received[0] == 1:
            connection.sendall(frame(reply(json.loads(received[1]), HEADER)))


class ClientTest(unittest.TestCase):
    def serve(self, behave, **options):
        server = Server(behave, **options)
        self.addCleanup(server.close)
        client = Client(start=False, discovery=server.path)
        self.addCleanup(client.close)
        return server, client


class StrangersTest(ClientTest):
    def assert_not_genuine(self, behave):
        server, client = self.serve(behave)
        for _ in range(3):
            with self.assertRaises(cadzero_auth.NotGenuineError):
                client.get_auth_header()
        key = hostile.encode(server.key)
        self.assertEqual(server.connections, 1, 'it was spoken to again')
        self.assertNotIn(key.encode(), bytes(server.received))
        self.assertTrue(bytes(server.received).endswith(b'\r\n\r\n'), 'a frame was sent')

    def test_without_the_proof(self):
        self.assert_not_genuine(lambda s, c, head: c.sendall(s.answer(head).replace(b'CadzeroAuth-Proof', b'X-Proof')))

    def test_with_a_wrong_proof(self):
        self.assert_not_genuine(lambda s, c, head: c.sendall(s.answer(head, proof=False)))

    def test_with_a_proof_twice(self):
        self.assert_not_genuine(lambda s, c, head: c.sendall(s.answer(head, more='CadzeroAuth-Proof: x\r\n')))

    def test_with_a_wrong_accept(self):
        self.assert_not_genuine(lambda s, c, head: c.sendall(s.answer(head, accept=False)))

    def test_with_another_subprotocol(self):
        self.assert_not_genuine(lambda s, c, head: c.sendall(s.answer(head, protocol='other')))

    def test_with_an_extension_that_nobody_asked_for(self):
        more = 'Sec-WebSocket-Extensions: permessage-deflate\r\n'
        self.assert_not_genuine(lambda s, c, head: c.sendall(s.answer(head, more=more)))

    def test_that_refuses(self):
        self.assert_not_genuine(lambda s, c, head: c.sendall(b'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n'))

    def test_that_talks_something_else(self):
        self.assert_not_genuine(lambda s, c, head: c.sendall(b'220 mail.example.com ESMTP\r\n\r\n'))

    def test_that_sends_headers_without_end(self):
        self.assert_not_genuine(lambda s, c, head: c.sendall(b'HTTP/1.1 101 x\r\n' + b'a: b\r\n' * 9999))

    def test_that_hangs_up(self):
        self.assert_not_genuine(lambda s, c, head: c.close())

    def test_is_forgotten_when_the_file_names_another(self):
        server, client = self.serve(lambda s, c, head: c.sendall(s.answer(head, proof=False)))
        with self.assertRaises(cadzero_auth.NotGenuineError):
            client.get_auth_header()
        server.behave = genuine(answer_all)
        server.instance = hostile.encode(os.urandom(16))
        server.write()
        self.assertEqual(client.get_auth_header(), HEADER['headers'])


class DiscoveryTest(ClientTest):
    def fails(self, kind, **over):
        server, client = self.serve(genuine(answer_all))
        server.write(**over)
        with self.assertRaises(kind):
            client.get_auth_header()
        self.assertEqual(server.connections, 0)

    @unittest.skipUnless(hasattr(os, 'getuid'), 'rights of a POSIX system')
    def test_a_file_that_others_may_read_is_not_trusted(self):
        self.fails(cadzero_auth.NotGenuineError, mode=0o644)

    def test_an_address_other_than_loopback_is_not_connected_to(self):
        for endpoint in ('127.0.0.2:80', 'localhost:80', '127.0.0.1', '127.0.0.1:80@evil.example', '[::1]:80'):
            self.fails(cadzero_auth.NoDaemonError, endpoint=endpoint)

    def test_a_file_of_another_version_or_shape_is_none(self):
        for over in ({'version': 2}, {'key': 'short'}, {'instance': 5}, {'path': '/rpc\r\nX: y'}):
            self.fails(cadzero_auth.NoDaemonError, **over)

    @unittest.skipUnless(hasattr(os, 'getuid'), 'links of a POSIX system')
    def test_a_link_or_a_pipe_is_not_followed(self):
        server, _ = self.serve(genuine(answer_all))
        link, pipe = server.path + '.link', server.path + '.pipe'
        os.symlink(server.path, link)
        os.mkfifo(pipe, 0o600)
        for path in (link, pipe):
            with Client(start=False, discovery=path) as client, self.assertRaises(cadzero_auth.NotGenuineError):
                client.get_auth_header()

    def test_a_stale_file_is_no_daemon_and_says_so_quickly(self):
        server, client = self.serve(genuine(answer_all))
        server.stop_listening()
        started = time.monotonic()
        with self.assertRaises(cadzero_auth.NoDaemonError):
            client.get_auth_header(timeout=30)
        self.assertLess(time.monotonic() - started, 10)

    def test_the_path_is_the_daemons_own(self):
        before = os.environ.get('CADZERO_AUTH_HOME')
        os.environ['CADZERO_AUTH_HOME'] = os.path.join(os.sep, 'x')
        try:
            self.assertEqual(cadzero_auth.discovery_file(), os.path.join(os.sep, 'x', 'data', 'endpoint.json'))
        finally:
            if before is None:
                del os.environ['CADZERO_AUTH_HOME']
            else:
                os.environ['CADZERO_AUTH_HOME'] = before


class MisbehaviourTest(ClientTest):
    def test_no_caller_waits_longer_than_asked(self):
        _, client = self.serve(genuine(lambda s, c: s.read_frame(c) and time.sleep(30)))
        started = time.monotonic()
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            client.status(timeout=0.3)
        self.assertLess(time.monotonic() - started, 5)

    def test_a_handshake_that_trickles_keeps_no_caller(self):
        def trickle(server, connection, head):
            for byte in server.answer(head):
                connection.sendall(bytes([byte]))
                time.sleep(0.2)

        _, client = self.serve(trickle)
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            client.status(timeout=0.3)

    def test_an_answer_that_comes_byte_by_byte_is_an_answer(self):
        def talk(server, connection):
            call = server.read_call(connection)
            for byte in frame(reply(call, HEADER)):
                connection.sendall(bytes([byte]))

        _, client = self.serve(genuine(talk))
        self.assertEqual(client.get_auth_header(), HEADER['headers'])

    def test_two_answers_in_one_piece_and_one_in_three(self):
        def talk(server, connection):
            one, two = (server.read_call(connection) for _ in range(2))
            text = reply(two, {'n': two['id']})
            parts = frame(text[:5], final=False) + frame(b'ping', opcode=9) + frame(text[5:9], 0, False) + frame(text[9:], 0)
            connection.sendall(frame(reply(one, {'n': one['id']})) + parts)
            server.read_frame(connection)

        _, client = self.serve(genuine(talk))
        results = []
        threads = [threading.Thread(target=lambda: results.append(client.call('x'))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
        self.assertEqual(sorted(result['n'] for result in results), [1, 2])

    def test_a_ping_is_answered(self):
        seen = []

        def talk(server, connection):
            call = server.read_call(connection)
            connection.sendall(frame(b'are you there', opcode=9))
            seen.append(server.read_frame(connection))
            connection.sendall(frame(reply(call, HEADER)))

        _, client = self.serve(genuine(talk))
        client.get_auth_header()
        self.assertEqual(seen, [(10, b'are you there')])

    def broken(self, data):
        def talk(server, connection):
            server.read_frame(connection)
            connection.sendall(data)
            server.read_frame(connection)

        server, client = self.serve(genuine(talk))
        with self.assertRaises(cadzero_auth.ConnectionLostError):
            client.call('x')
        return server, client

    def test_nonsense_ends_the_connection_and_no_caller_waits(self):
        pieces = {
            'masked': frame(b'{}', masked=True),
            'reserved bits': b'\xf1\x02{}',
            'binary': frame(b'{}', opcode=2),
            'unknown': frame(b'', opcode=5),
            'too large': b'\x81\x7f\x7f' + b'\xff' * 7,
            'a continuation of nothing': frame(b'{}', opcode=0),
            'no text': frame(b'\xff\xfe'),
            'no JSON': frame(b'{'),
            'a long ping': frame(b'x' * 200, opcode=9),
            'a close': frame(b'\x03\xf4', opcode=8),
        }
        for name, data in pieces.items():
            with self.subTest(name):
                self.broken(data)

    def test_messages_for_nobody_are_passed_over(self):
        def talk(server, connection):
            call = server.read_call(connection)
            for text in (b'[]', b'5', b'{"id": 99, "result": 1}', b'{"id": {}, "result": 1}', b'{"method": "other"}'):
                connection.sendall(frame(text))
            connection.sendall(frame(reply(call, HEADER)))

        _, client = self.serve(genuine(talk))
        self.assertEqual(client.get_auth_header(), HEADER['headers'])

    def test_what_is_harmless_is_asked_once_more_and_what_is_not_is_not(self):
        asked = []

        def talk(server, connection):
            method = server.read_call(connection)['method']
            asked.append(method)
            connection.close()

        server, client = self.serve(genuine(talk))
        for ask, times in ((client.status, 2), (client.login, 1), (client.logout, 1)):
            asked.clear()
            with self.assertRaises(cadzero_auth.ConnectionLostError):
                ask()
            self.assertEqual(len(asked), times, asked)

    def test_errors_have_their_kind_code_and_reason(self):
        def talk(server, connection):
            while True:
                call = server.read_call(connection)
                code = call['params']['code']
                data = {'reason': 'why', 'retryAfterSeconds': 7}
                error = {'code': code, 'message': 'a text', 'data': data}
                connection.sendall(frame(json.dumps({'jsonrpc': '2.0', 'id': call['id'], 'error': error}).encode()))

        _, client = self.serve(genuine(talk))
        for code, kind in cadzero_auth._ERRORS.items():
            with self.assertRaises(kind) as caught:
                client.call('x', {'code': code})
            self.assertEqual((caught.exception.code, caught.exception.reason), (code, 'why'))
        with self.assertRaises(cadzero_auth.TemporarilyUnavailableError) as caught:
            client.call('x', {'code': 1003})
        self.assertEqual(caught.exception.retry_after_seconds, 7.0)
        with self.assertRaises(cadzero_auth.AuthError):
            client.call('x', {'code': -32601})


class ThreadsTest(ClientTest):
    def test_many_threads_share_one_connection(self):
        server, client = self.serve(genuine(answer_all))
        results = []

        def work():
            for _ in range(50):
                results.append(client.get_auth_header(timeout=30))

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(len(results), 800)
        self.assertEqual(server.connections, 1)

    def test_a_listener_hears_and_may_fail_and_the_connection_is_made_again(self):
        def talk(server, connection):
            status = {'jsonrpc': '2.0', 'method': 'sessionChanged', 'params': {'n': server.connections}}
            connection.sendall(frame(json.dumps(status).encode()))
            connection.sendall(frame(b'\x03\xf4', opcode=8))  # 1012: it was replaced

        server, client = self.serve(genuine(talk))
        heard, twice = [], threading.Event()

        def listen(status):
            heard.append(status['n'])
            if len(heard) == 2:
                twice.set()
            raise ValueError('a mistake of the add-in')

        remove = client.on_change(listen)
        self.assertTrue(twice.wait(20))
        remove()
        self.assertEqual(heard[:2], [1, 2])

    def test_a_client_that_is_closed_says_so_and_leaves_no_thread(self):
        _, client = self.serve(genuine(answer_all))
        client.get_auth_header()
        client.close()
        self.assertFalse(any(thread.name == 'cadzero-auth' for thread in threading.enumerate()))
        with self.assertRaises(cadzero_auth.NoDaemonError):
            client.status()

    def test_closing_ends_who_waits(self):
        _, client = self.serve(genuine(lambda s, c: s.read_frame(c) and s.read_frame(c)))
        errors = []

        def wait():
            try:
                client.login(timeout=60)
            except cadzero_auth.AuthError as error:
                errors.append(error)

        thread = threading.Thread(target=wait)
        thread.start()
        while not client._sent:
            time.sleep(0.01)
        client.close()
        thread.join(10)
        self.assertEqual([type(error) for error in errors], [cadzero_auth.NoDaemonError])

    @unittest.skipUnless(hasattr(os, 'fork'), 'no fork here')
    def test_after_a_fork_the_child_has_a_connection_of_its_own(self):
        server, client = self.serve(genuine(answer_all))
        client.get_auth_header()
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if client.get_auth_header() == HEADER['headers'] else 1)
            except BaseException:
                os._exit(2)
        _, status = os.waitpid(child, 0)
        self.assertEqual(status, 0)
        self.assertEqual(client.get_auth_header(), HEADER['headers'])
        self.assertEqual(server.connections, 2)


class CommandTest(unittest.TestCase):
    def setUp(self):
        self.before = os.environ.pop('CADZERO_AUTH_COMMAND', None)

    def tearDown(self):
        os.environ.pop('CADZERO_AUTH_COMMAND', None)
        if self.before is not None:
            os.environ['CADZERO_AUTH_COMMAND'] = self.before

    def test_is_an_absolute_path_that_is_there_or_none(self):
        here = os.path.abspath(__file__)
        self.assertEqual(cadzero_auth.find_command(here), [here])
        self.assertEqual(cadzero_auth.find_command([here, 'x']), [here, 'x'])
        for command in ('cadzero-auth', os.path.join(os.sep, 'no', 'such'), ['node', here]):
            self.assertIsNone(cadzero_auth.find_command(command))
        os.environ['CADZERO_AUTH_COMMAND'] = json.dumps([here, 'y'])
        self.assertEqual(cadzero_auth.find_command(), [here, 'y'])
        os.environ['CADZERO_AUTH_COMMAND'] = '[broken'
        self.assertIsNone(cadzero_auth.find_command())

    def test_starts_without_what_would_change_it(self):
        os.environ['NODE_OPTIONS'], os.environ['CADZERO_AUTH_PASSPHRASE'] = '--inspect', 'secret'
        try:
            environment = cadzero_auth._child_environment()
        finally:
            del os.environ['NODE_OPTIONS'], os.environ['CADZERO_AUTH_PASSPHRASE']
        self.assertFalse({'NODE_OPTIONS', 'CADZERO_AUTH_PASSPHRASE'} & set(environment))


class SourceTest(unittest.TestCase):
    def test_both_files_need_nothing_but_the_standard_library(self):
        import ast
        import sys

        known = getattr(sys, 'stdlib_module_names', None)
        if known is None:
            self.skipTest('this Python does not know its own modules')
        folder = os.path.dirname(os.path.abspath(cadzero_auth.__file__))
        for name in ('cadzero_auth.py', 'auth.py'):
            with open(os.path.join(folder, name), encoding='utf-8') as file:
                tree = ast.parse(file.read())
            for node in ast.walk(tree):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.level == 0:
                    names = [node.module]
                for module in names:
                    self.assertIn(module.split('.')[0], {*known, 'cadzero_auth'})


if __name__ == '__main__':
    unittest.main()
