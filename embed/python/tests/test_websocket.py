"""The WebSocket: the mutual proof in the upgrade, and the frames after it."""

import os
import threading
import time
import unittest
from unittest import mock

import cadzero_auth
from cadzero_auth.discovery import Endpoint
from cadzero_auth.websocket import (
    MAX_MESSAGE_BYTES,
    Frame,
    ProtocolError,
    WebSocket,
    encode_frame,
    parse_head,
    take_frame,
)

from . import fake_daemon
from .fake_daemon import CLOSE, HEADER, PING, PONG, TEXT, ClientTestCase, FakeDaemon, answer_all, genuine, result_of

SECURITY_HEADERS = ['Upgrade', 'Connection', 'Sec-WebSocket-Accept', 'Sec-WebSocket-Protocol', 'CadzeroAuth-Proof']


class UpgradeTest(ClientTestCase):
    def assert_not_genuine(self, behave):
        """The client refuses the server, does not connect to it again, and sends it neither a frame nor the key."""

        def behave_and_answer(daemon, connection, head):
            behave(daemon, connection, head)
            answer_all(daemon, connection)  # so that a client that trusts the server fails the test at once

        daemon, client = self.serve(behave_and_answer)
        for _ in range(3):
            with self.assertRaises(cadzero_auth.NotGenuineError):
                client.get_auth_header()
        self.assertEqual(daemon.connections, 1)
        self.assertNotIn(fake_daemon.base64url(daemon.key).encode(), bytes(daemon.received))
        self.assertTrue(bytes(daemon.received).endswith(b'\r\n\r\n'), 'a frame was sent')

    def assert_headers_refused(self, change):
        """The client refuses the response whose genuine headers, a list of name and value, `change` has changed."""

        def behave(daemon, connection, head):
            connection.sendall(fake_daemon.encode_head(change(daemon.upgrade_headers(head))))

        self.assert_not_genuine(behave)

    def assert_sent_refused(self, data):
        self.assert_not_genuine(lambda daemon, connection, head: connection.sendall(data))

    def test_a_missing_header_is_refused(self):
        for missing in SECURITY_HEADERS:
            with self.subTest(missing):
                self.assert_headers_refused(lambda headers, out=missing: [each for each in headers if each[0] != out])

    def test_a_wrong_header_is_refused(self):
        for wrong in SECURITY_HEADERS:
            with self.subTest(wrong):
                self.assert_headers_refused(
                    lambda headers, out=wrong: [(name, 'x' if name == out else value) for name, value in headers]
                )

    def test_a_proof_with_another_key_is_refused(self):
        def behave(daemon, connection, head):
            daemon.key = os.urandom(32)
            connection.sendall(daemon.upgrade_response(head))

        self.assert_not_genuine(behave)

    def test_the_proof_of_the_client_role_is_refused(self):
        def behave(daemon, connection, head):
            echoed = head.split('mac="')[1].split('"')[0]
            headers = {**dict(daemon.upgrade_headers(head)), 'CadzeroAuth-Proof': echoed}
            connection.sendall(fake_daemon.encode_head(headers.items()))

        self.assert_not_genuine(behave)

    def test_a_repeated_header_is_refused_whatever_its_values(self):
        for repeated in SECURITY_HEADERS:
            changes = {
                'the same value twice': lambda headers, right: [right, *headers],
                'the wrong value first': lambda headers, right: [(right[0], 'x'), *headers],
                'the wrong value last': lambda headers, right: [*headers, (right[0], 'x')],
                'another case': lambda headers, right: [*headers, (right[0].lower(), right[1])],
            }
            for name, change in changes.items():
                with self.subTest(repeated, change=name):
                    self.assert_headers_refused(
                        lambda headers, change=change, out=repeated: change(headers, (out, dict(headers)[out]))
                    )

    def test_an_extension_is_refused(self):
        self.assert_headers_refused(lambda headers: [*headers, ('Sec-WebSocket-Extensions', 'permessage-deflate')])

    def test_another_status_is_refused(self):
        def behave(daemon, connection, head):
            connection.sendall(daemon.upgrade_response(head).replace(b' 101 ', b' 200 '))

        self.assert_not_genuine(behave)
        self.assert_sent_refused(b'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n')

    def test_another_protocol_is_refused(self):
        self.assert_sent_refused(b'220 mail.example.com ESMTP\r\n\r\n')

    def test_endless_headers_are_refused(self):
        self.assert_sent_refused(b'HTTP/1.1 101 x\r\n' + b''.join(b'a%d: b\r\n' % at for at in range(9999)))

    def test_a_server_that_gives_no_answer_is_no_stranger_for_that_and_is_tried_again(self):
        def behave(daemon, connection, head):
            if daemon.connections == 1:
                connection.close()
                return
            connection.sendall(daemon.upgrade_response(head))
            answer_all(daemon, connection)

        _, client = self.serve(behave)
        with self.assertRaises(cadzero_auth.NoDaemonError) as caught:
            client.get_auth_header()
        self.assertEqual(caught.exception.reason, 'no_answer')
        self.assertEqual(client.get_auth_header(), HEADER['headers'])

    def test_one_slow_upgrade_does_not_condemn_the_daemon(self):
        resumed = threading.Event()

        def behave(daemon, connection, head):
            if daemon.connections == 1:
                resumed.wait(30)  # stopped, or on a computer that was busy
            connection.sendall(daemon.upgrade_response(head))
            answer_all(daemon, connection)

        _, client = self.serve(behave)
        self.addCleanup(resumed.set)
        with mock.patch('cadzero_auth.connector.CONNECT_SECONDS', 0.05), self.assertRaises(cadzero_auth.NoDaemonError):
            client.get_auth_header()
        self.assertEqual(client.get_auth_header(), HEADER['headers'])

    def test_a_slow_response_does_not_extend_the_deadline(self):
        def behave(daemon, connection, head):
            while True:
                connection.sendall(b'x')
                time.sleep(0.02)  # the pace of the attack; the loop ends when the client gives up

        daemon = FakeDaemon(behave)
        self.addCleanup(daemon.close)
        with self.assertRaises(cadzero_auth.NoDaemonError):
            WebSocket(Endpoint.parse(daemon.document()), time.monotonic() + 0.2)

    def test_a_rejected_instance_is_forgotten_when_the_file_names_another(self):
        daemon, client = self.serve(lambda daemon, connection, head: connection.sendall(b'HTTP/1.1 403 x\r\n\r\n'))
        with self.assertRaises(cadzero_auth.NotGenuineError):
            client.get_auth_header()
        daemon.behave = genuine(answer_all)
        daemon.instance = fake_daemon.base64url(os.urandom(16))
        daemon.write_discovery_file()
        self.assertEqual(client.get_auth_header(), HEADER['headers'])

    def test_a_message_that_follows_the_response_at_once_is_read(self):
        def behave(daemon, connection, head):
            notification = {'jsonrpc': '2.0', 'method': 'sessionChanged', 'params': {'state': 'signed_in'}}
            connection.sendall(daemon.upgrade_response(head) + fake_daemon.encode_json(notification))
            fake_daemon.never_answer(daemon, connection)

        _, client = self.serve(behave)
        heard = threading.Event()
        client.on_change(lambda status: heard.set())
        self.assertTrue(heard.wait(20))


class HeadTest(unittest.TestCase):
    def test_names_are_in_lower_case_and_values_are_trimmed(self):
        self.assertEqual(parse_head(b'HTTP/1.1 101 Switching\r\nA-B:  c \r\nD:'), (101, {'a-b': 'c', 'd': ''}))

    def test_another_first_line_has_status_0(self):
        for line in (b'HTTP/1.0 101 x', b'HTTP/1.1 1010', b'HTTP/2 101', b''):
            with self.subTest(line):
                self.assertEqual(parse_head(line), (0, {}))

    def test_a_line_without_a_colon_and_a_repeated_header_are_refused(self):
        for head in (b'HTTP/1.1 101 x\r\nabc', b'HTTP/1.1 101 x\r\na: b\r\nA: b'):
            with self.subTest(head), self.assertRaises(cadzero_auth.NotGenuineError):
                parse_head(head)


class FrameTest(ClientTestCase):
    def assert_connection_lost(self, data):
        """The client closes the connection when the daemon sends `data`, and the call fails at once."""

        def talk(daemon, connection):
            daemon.read_frame(connection)
            connection.sendall(data)
            daemon.read_frame(connection)

        _, client = self.serve(genuine(talk))
        with self.assertRaises(cadzero_auth.ConnectionLostError):
            client.call('x', timeout=60)

    def test_an_invalid_frame_ends_the_connection(self):
        cases = {
            'masked': fake_daemon.encode_frame(b'{}', masked=True),
            'reserved bits': b'\xf1\x02{}',
            'binary': fake_daemon.encode_frame(b'{}', opcode=2),
            'unknown opcode': fake_daemon.encode_frame(b'', opcode=5),
            'too large': b'\x81\x7f\x7f' + b'\xff' * 7,
            'a message too large': fake_daemon.encode_frame(b' ' * MAX_MESSAGE_BYTES, final=False)
            + fake_daemon.encode_frame(b'{}', opcode=0),
            'a continuation without a start': fake_daemon.encode_frame(b'{}', opcode=0),
            'a start inside a message': fake_daemon.encode_frame(b'{', final=False) + fake_daemon.encode_frame(b'{}'),
            'not UTF-8': fake_daemon.encode_frame(b'\xff\xfe'),
            'not JSON': fake_daemon.encode_frame(b'{'),
            'a long ping': fake_daemon.encode_frame(b'x' * 126, opcode=PING),
            'a fragmented ping': fake_daemon.encode_frame(b'x', opcode=PING, final=False),
            'a close': fake_daemon.encode_frame(b'\x03\xf4', opcode=CLOSE),
        }
        for name, data in cases.items():
            with self.subTest(name):
                self.assert_connection_lost(data)

    def test_a_ping_is_answered_with_its_data(self):
        pongs = []

        def talk(daemon, connection):
            call = daemon.read_call(connection)
            connection.sendall(fake_daemon.encode_frame(b'data', opcode=PING))
            pongs.append(daemon.read_frame(connection))
            connection.sendall(fake_daemon.encode_frame(result_of(call, HEADER)))

        _, client = self.serve(genuine(talk))
        client.get_auth_header()
        self.assertEqual(pongs, [(PONG, b'data')])

    def test_a_response_may_arrive_byte_by_byte(self):
        def talk(daemon, connection):
            for byte in fake_daemon.encode_frame(result_of(daemon.read_call(connection), HEADER)):
                connection.sendall(bytes([byte]))

        _, client = self.serve(genuine(talk))
        self.assertEqual(client.get_auth_header(), HEADER['headers'])

    def test_two_responses_may_arrive_at_once_and_one_in_fragments(self):
        def talk(daemon, connection):
            first, second = (daemon.read_call(connection) for _ in range(2))
            text = result_of(second, {'n': second['id']})
            connection.sendall(
                fake_daemon.encode_frame(result_of(first, {'n': first['id']}))
                + fake_daemon.encode_frame(text[:5], final=False)
                + fake_daemon.encode_frame(b'ping', opcode=PING)
                + fake_daemon.encode_frame(text[5:9], opcode=0, final=False)
                + fake_daemon.encode_frame(text[9:], opcode=0)
            )
            daemon.read_frame(connection)

        _, client = self.serve(genuine(talk))
        results = []
        threads = [threading.Thread(target=lambda: results.append(client.call('x', timeout=30))) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(sorted(result['n'] for result in results), [1, 2])

    def test_large_messages_pass_in_both_directions(self):
        for size in (125, 126, 65535, 65536, 500_000):

            def talk(daemon, connection):
                call = daemon.read_call(connection)
                connection.sendall(fake_daemon.encode_frame(result_of(call, call['params']['text'])))
                daemon.read_frame(connection)

            with self.subTest(size):
                _, client = self.serve(genuine(talk))
                self.assertEqual(client.call('x', {'text': 'x' * size}, timeout=60), 'x' * size)


class CodecTest(unittest.TestCase):
    def test_every_frame_has_another_mask(self):
        self.assertEqual(len({encode_frame(TEXT, b'x')[2:6] for _ in range(20)}), 20)

    def test_a_frame_is_taken_when_it_has_arrived_completely(self):
        frame = fake_daemon.encode_frame(b'x' * 300)
        buffer = bytearray()
        for byte in frame[:-1]:
            buffer.append(byte)
            self.assertIsNone(take_frame(buffer))
        buffer += frame[-1:] + b'\x81'
        self.assertEqual(take_frame(buffer), Frame(True, TEXT, b'x' * 300))
        self.assertEqual(buffer, b'\x81')

    def test_a_masked_frame_and_a_reserved_bit_are_refused(self):
        for data in (fake_daemon.encode_frame(b'{}', masked=True), b'\xc1\x02{}', b'\xa1\x02{}', b'\x91\x02{}'):
            with self.subTest(data), self.assertRaises(ProtocolError):
                take_frame(bytearray(data))

    def test_an_oversized_frame_is_refused_before_its_data_arrives(self):
        with self.assertRaises(ProtocolError):
            take_frame(bytearray(b'\x81\x7f' + (MAX_MESSAGE_BYTES + 1).to_bytes(8, 'big')))
