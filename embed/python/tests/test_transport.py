"""The transport: one connection for all threads, timeouts, retries, reconnecting, listeners, closing, forking."""

import os
import threading
import unittest
from unittest import mock

import cadzero_auth
from cadzero_auth import worker

from . import fake_daemon
from .fake_daemon import CLOSE, HEADER, ClientTestCase, answer_all, genuine, never_answer, result_of


class CallTest(ClientTestCase):
    def test_a_call_fails_when_its_timeout_has_passed(self):
        _, client = self.serve(genuine(never_answer))
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            client.status(timeout=0.1)

    def test_a_slow_upgrade_does_not_extend_the_timeout_of_a_call(self):
        _, client = self.serve(lambda daemon, connection, head: daemon.read_frame(connection))
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            client.status(timeout=0.1)

    def test_a_late_response_is_not_taken_for_that_of_the_next_call(self):
        def talk(daemon, connection):
            calls = [daemon.read_call(connection)]
            while calls[-1]['method'] != 'next':
                calls.append(daemon.read_call(connection))
            for call in calls:
                connection.sendall(fake_daemon.encode_frame(result_of(call, call['method'])))

        _, client = self.serve(genuine(talk))
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            client.call('late', timeout=0.1)
        self.assertEqual(client.call('next', timeout=30), 'next')

    def test_a_call_that_has_timed_out_is_not_sent_again_after_a_loss(self):
        sent = []

        def talk(daemon, connection):
            methods = []
            sent.append(methods)
            while 'next' not in methods:
                call = daemon.read_call(connection)
                methods.append(call['method'])
            if len(sent) > 1:
                connection.sendall(fake_daemon.encode_frame(result_of(call, {})))
            else:
                connection.close()

        _, client = self.serve(genuine(talk))
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            client.call('late', timeout=0.1, harmless=True)
        client.call('next', timeout=30, harmless=True)
        self.assertEqual(sent[1], ['next'])

    def test_many_threads_share_one_connection(self):
        daemon, client = self.serve(genuine(answer_all))
        results = []

        def work():
            for _ in range(50):
                results.append(client.get_auth_header(timeout=60))

        threads = [threading.Thread(target=work) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(120)
        self.assertEqual(len(results), 800)
        self.assertEqual(daemon.connections, 1)

    def test_messages_that_answer_no_call_are_ignored(self):
        def talk(daemon, connection):
            call = daemon.read_call(connection)
            for text in (b'[]', b'5', b'{"id": 99, "result": 1}', b'{"id": {}, "result": 1}', b'{"method": "other"}'):
                connection.sendall(fake_daemon.encode_frame(text))
            connection.sendall(fake_daemon.encode_frame(result_of(call, HEADER)))

        _, client = self.serve(genuine(talk))
        self.assertEqual(client.get_auth_header(), HEADER['headers'])

    def test_a_message_that_is_no_json_ends_the_connection_and_not_the_thread(self):
        for text in (b'[' * 200_000, b'{"result": NaN}', b'{'):

            def talk(daemon, connection, text=text):
                daemon.read_call(connection)
                connection.sendall(fake_daemon.encode_frame(text))

            with self.subTest(text[:20]), self.assertRaises(cadzero_auth.ConnectionLostError):
                self.serve(genuine(talk))[1].call('status', timeout=30)

    def test_a_message_that_does_not_fit_the_contract_ends_the_connection_and_not_the_thread(self):
        endless = b'1' + b'0' * 400  # no float holds it
        result = b'{"id": 1, "result": {"headers": {"Authorization": "x"}, "refreshAt": %s, "expiresAt": 1}}' % endless
        notification = b'{"method": "sessionChanged", "params": {"profile": []}}'
        for text, expected in ((result, cadzero_auth.AuthError), (notification, None)):

            def talk(daemon, connection, text=text):
                if daemon.connections > 1:
                    answer_all(daemon, connection)
                else:
                    daemon.read_call(connection)
                    connection.sendall(fake_daemon.encode_frame(text))

            _, client = self.serve(genuine(talk))
            with self.subTest(text[:40]), self.assertLogs('cadzero_auth', 'ERROR') as logs:
                if expected is None:
                    self.assertEqual(client.get_auth_header(), HEADER['headers'])  # it is asked again
                else:
                    self.assertRaises(expected, client.get_auth_header)
                thread = client._transport._worker._thread
                self.assertEqual(client.get_auth_header(), HEADER['headers'])
                self.assertIs(client._transport._worker._thread, thread)
            self.assertIn('a message of the daemon is invalid', logs.output[0])

    def test_only_a_harmless_call_is_sent_again_after_a_loss_and_only_once(self):
        sent = []

        def talk(daemon, connection):
            sent.append(daemon.read_call(connection)['method'])
            connection.close()

        _, client = self.serve(genuine(talk))
        for call, times in (
            (client.status, 2),
            (client.get_auth_header, 2),
            (lambda: client.refresh(rejected='Bearer old'), 2),
            (lambda: client.get_auth_header(interactive=True), 1),
            (client.refresh, 1),
            (client.login, 1),
            (client.logout, 1),
            (client.cancel_login, 1),
        ):
            sent.clear()
            with self.assertRaises(cadzero_auth.ConnectionLostError):
                call()
            self.assertEqual(len(sent), times, sent)

    def test_a_harmless_call_is_answered_by_the_next_connection(self):
        def talk(daemon, connection):
            call = daemon.read_call(connection)
            if daemon.connections > 1:
                connection.sendall(fake_daemon.encode_frame(result_of(call, HEADER)))
            else:
                connection.close()

        _, client = self.serve(genuine(talk))
        self.assertEqual(client.get_auth_header(), HEADER['headers'])


class ListenerTest(ClientTestCase):
    def test_a_listener_that_fails_is_called_again_after_a_reconnect(self):
        def talk(daemon, connection):
            notification = {'jsonrpc': '2.0', 'method': 'sessionChanged', 'params': {'n': daemon.connections}}
            connection.sendall(fake_daemon.encode_json(notification))
            connection.sendall(fake_daemon.encode_frame(b'\x03\xf4', opcode=CLOSE))  # 1012: the daemon is replaced

        _, client = self.serve(genuine(talk))
        heard, twice = [], threading.Event()

        def listen(status):
            heard.append(status['n'])
            if len(heard) == 2:
                twice.set()
            raise ValueError('a bug of the add-in')

        with self.assertLogs('cadzero_auth', 'ERROR') as logs:
            client.on_change(listen)
            self.assertTrue(twice.wait(20))
            client.close()
        self.assertEqual(heard[:2], [1, 2])
        self.assertIn('a listener failed: ValueError', logs.output[0])

    def test_a_removed_listener_is_not_called(self):
        def talk(daemon, connection):
            while True:
                call = daemon.read_call(connection)
                connection.sendall(fake_daemon.encode_json({'method': 'sessionChanged', 'params': {}}))
                connection.sendall(fake_daemon.encode_frame(result_of(call, {})))

        _, client = self.serve(genuine(talk))
        heard = []
        remove = client.on_change(heard.append)
        client.status(timeout=30)
        remove()
        client.status(timeout=30)
        self.assertEqual(heard, [{}])
        remove()


class CloseTest(ClientTestCase):
    def test_a_closed_client_leaves_no_thread_and_connects_again_at_the_next_call(self):
        daemon, client = self.serve(genuine(answer_all))
        for times in range(1, 4):
            self.assertEqual(client.get_auth_header(), HEADER['headers'])
            self.assertEqual(daemon.connections, times)
            client.close()
            self.assertNotIn('cadzero-auth', [thread.name for thread in threading.enumerate()])

    def test_closing_fails_the_calls_in_progress(self):
        called = threading.Event()

        def talk(daemon, connection):
            daemon.read_call(connection)
            called.set()
            never_answer(daemon, connection)

        _, client = self.serve(genuine(talk))
        errors = []

        def call():
            try:
                client.login(timeout=60)
            except cadzero_auth.AuthError as error:
                errors.append(type(error))

        thread = threading.Thread(target=call)
        thread.start()
        self.assertTrue(called.wait(20))
        client.close()
        thread.join(20)
        self.assertEqual(errors, [cadzero_auth.NoDaemonError])


class ThreadTest(ClientTestCase):
    def test_a_server_that_closes_each_connection_does_not_keep_the_thread_busy(self):
        closed = threading.Semaphore(0)

        def close(daemon, connection):
            connection.shutdown(2)
            closed.release()

        client = self.serve(genuine(close))[1]
        pauses = []
        wait_for = worker.wait_for

        def wait(events, seconds):
            pauses.append(seconds)
            return wait_for(events, 0 if seconds else seconds)

        with mock.patch.object(worker, 'wait_for', wait):
            client.on_change(lambda status: None)
            for _ in range(4):
                self.assertTrue(closed.acquire(timeout=30))
            client.close()
        self.assertEqual([pause for pause in pauses if pause][:3], [0.1, 0.2, 0.4])

    def test_the_next_thread_begins_when_a_closed_one_that_installs_the_program_has_ended(self):
        began, may_end, running, most = threading.Event(), threading.Event(), [], []

        def install():
            running.append(1)
            most.append(len(running))
            began.set()
            may_end.wait(30)
            running.pop()
            return cadzero_auth.InstallError('it is so', 'damaged')

        daemon = fake_daemon.FakeDaemon(genuine(answer_all))
        self.addCleanup(daemon.close)
        os.remove(daemon.path)
        client = cadzero_auth.Client(discovery=daemon.path, prepare=install)
        self.addCleanup(client.close)
        with mock.patch.object(cadzero_auth.launcher, 'find_command', lambda command: None):
            for _ in range(2):
                with self.assertRaises(cadzero_auth.AuthError):
                    client.status(timeout=0)
                self.assertTrue(began.wait(30))
                client.close(0)
            with self.assertRaises(cadzero_auth.AuthError):
                client.status(timeout=0.1)
            daemon.write_discovery_file()
            may_end.set()
            self.assertEqual(client.get_auth_header(timeout=30), fake_daemon.HEADER['headers'])
        self.assertEqual(max(most), 1)


@unittest.skipUnless(hasattr(os, 'fork'), 'needs fork()')
class ForkTest(ClientTestCase):
    def test_a_forked_child_opens_its_own_connection(self):
        daemon, client = self.serve(genuine(answer_all))
        client.get_auth_header()
        self.fork(lambda: self.assertEqual(client.get_auth_header(), HEADER['headers']))
        self.assertEqual(client.get_auth_header(), HEADER['headers'])
        self.assertEqual(daemon.connections, 2)

    def test_a_forked_child_does_not_send_the_calls_of_its_parent(self):
        called, sent = threading.Event(), []

        def talk(daemon, connection):
            if daemon.connections == 1:
                daemon.read_call(connection)
                called.set()
                never_answer(daemon, connection)
            while True:
                call = daemon.read_call(connection)
                sent.append(call['method'])
                if daemon.connections == 2:
                    connection.close()  # the child sends its calls again
                connection.sendall(fake_daemon.encode_frame(result_of(call, {})))

        _, client = self.serve(genuine(talk))
        thread = threading.Thread(target=self.expect_closed, args=(client,))
        thread.start()
        self.assertTrue(called.wait(20))
        self.fork(lambda: client.call('child', timeout=30, harmless=True))
        client.close()
        thread.join(20)
        self.assertEqual(sent, ['child', 'child'])

    def expect_closed(self, client):
        with self.assertRaises(cadzero_auth.NoDaemonError):
            client.call('parent', timeout=60, harmless=True)

    def fork(self, work):
        """Runs `work` in a forked child; fails if it raises."""
        child = os.fork()
        if child == 0:
            try:
                work()
                os._exit(0)
            except BaseException:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        self.assertEqual(status, 0)
