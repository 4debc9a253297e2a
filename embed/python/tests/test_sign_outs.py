"""Sign-outs: confirmed by the daemon, or done when it is back, and never for another session."""

import threading

import cadzero_auth

from . import fake_daemon
from .fake_daemon import ClientTestCase, genuine, result_of

USER = {'id': 'user_1', 'email': None, 'name': None}


def status(session):
    return {
        'profile': 'production',
        'state': 'signed_in' if session else 'signed_out',
        'user': USER if session else None,
        'sessionId': session,
        'tokenExpiresAt': None,
    }


class Daemon:
    """A daemon with one session, which may hang at a logout, lose its connection, or refuse."""

    def __init__(self, session='sess_1'):
        self.session = session
        self.logouts = []
        self.hangs = threading.Event()  # set: it answers logouts
        self.hangs.set()
        self.refuses = None
        self.closes = False
        self.notifies = True
        self.connection = None

    def talk(self, daemon, connection):
        self.connection = connection
        while True:
            call = daemon.read_call(connection)
            if call['method'] == 'logout':
                self.log_out(connection, call)
            else:
                connection.sendall(fake_daemon.encode_frame(result_of(call, status(self.session))))

    def log_out(self, connection, call):
        wanted = call['params'].get('sessionId')
        self.logouts.append(wanted)
        if self.closes:
            self.closes = False
            connection.shutdown(2)
            raise OSError
        self.hangs.wait(60)
        if self.refuses:
            error = {'code': 1005, 'message': 'store unavailable', 'data': {'reason': self.refuses}}
            connection.sendall(fake_daemon.encode_json({'jsonrpc': '2.0', 'id': call['id'], 'error': error}))
            return
        if wanted in (None, self.session):
            self.session = None
            if self.notifies:
                connection.sendall(
                    fake_daemon.encode_json({'method': 'sessionChanged', 'params': status(self.session)})
                )
        connection.sendall(fake_daemon.encode_frame(result_of(call, {'revoked': True, 'accessTokenValidUntil': None})))


class SignOutTest(ClientTestCase):
    def setUp(self):
        self.daemon = Daemon()
        self.server, self.client = self.serve(genuine(self.daemon.talk))
        self.addCleanup(self.daemon.hangs.set)

    def expect_pending(self):
        with self.assertRaises(cadzero_auth.SignOutPendingError) as caught:
            self.client.sign_out(timeout=0.05)
        return caught.exception

    def wait_until_settled(self):
        settled = threading.Event()
        while self.client.is_signing_out():
            settled.wait(0.01)

    def test_a_confirmed_sign_out_returns(self):
        for notifies in (True, False):
            with self.subTest(notifies=notifies):
                self.setUp()
                self.daemon.notifies = notifies
                self.client.status()
                self.client.sign_out(timeout=60)
                self.assertEqual(self.daemon.logouts, ['sess_1'])
                self.assertFalse(self.client.is_signing_out())

    def test_a_session_that_is_not_known_is_signed_out_of_unconditionally(self):
        self.client.sign_out(timeout=60)
        self.assertEqual(self.daemon.logouts, [None])

    def test_what_the_daemon_does_not_confirm_in_time_is_done_when_it_answers(self):
        self.client.status()
        self.daemon.hangs.clear()
        self.assertIn('not signed out yet', str(self.expect_pending()))
        self.assertTrue(self.client.is_signing_out())
        with self.assertRaises(cadzero_auth.InteractionRequiredError):
            self.client.get_auth_header()
        self.daemon.hangs.set()
        self.wait_until_settled()
        self.assertIsNone(self.daemon.session)

    def test_a_daemon_that_is_replaced_meanwhile_is_asked_again(self):
        self.client.status()
        self.daemon.closes = True
        self.daemon.hangs.clear()
        self.expect_pending()
        self.daemon.hangs.set()
        self.wait_until_settled()
        self.assertIsNone(self.daemon.session)
        self.assertEqual(set(self.daemon.logouts), {'sess_1'})

    def test_it_is_done_after_a_stop_too(self):
        self.client.status()
        self.daemon.hangs.clear()
        self.expect_pending()
        self.client.close(0)
        self.daemon.hangs.set()
        self.client.status()
        self.wait_until_settled()
        self.assertIsNone(self.daemon.session)

    def test_a_late_sign_out_spares_a_session_that_began_in_the_meantime(self):
        self.client.status()
        self.daemon.hangs.clear()
        self.expect_pending()
        self.daemon.session = 'sess_2'
        self.daemon.hangs.set()
        self.wait_until_settled()
        self.assertEqual(self.daemon.session, 'sess_2')

    def test_a_session_that_is_not_known_is_not_signed_out_of_later(self):
        self.daemon.hangs.clear()
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            self.client.sign_out(timeout=0.05)
        self.assertFalse(self.client.is_signing_out())

    def test_a_sign_out_of_an_unknown_session_that_was_not_sent_in_time_is_never_sent(self):
        upgrades, answer = threading.Event(), threading.Event()

        def behave(daemon, connection, head):
            upgrades.set()
            answer.wait(60)
            connection.sendall(daemon.upgrade_response(head))
            self.daemon.talk(daemon, connection)

        self.server.behave = behave
        self.addCleanup(answer.set)
        thread = threading.Thread(target=self.client.status, kwargs={'timeout': 60})
        thread.start()
        self.assertTrue(upgrades.wait(30))
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            self.client.sign_out(timeout=0.01)
        answer.set()
        thread.join()
        self.client.status()
        self.assertEqual((self.daemon.logouts, self.daemon.session), ([], 'sess_1'))

    def test_another_session_that_is_not_ended_is_no_success(self):
        self.client.status()
        self.daemon.session = 'sess_2'  # and the client has not heard of it
        with self.assertRaises(cadzero_auth.AuthError) as caught:
            self.client.sign_out(timeout=60)
        self.assertEqual(caught.exception.reason, 'other_session')
        self.client.sign_out(timeout=60)
        self.assertIsNone(self.daemon.session)

    def test_a_client_takes_over_the_sign_outs_of_one_that_was_closed(self):
        self.client.status()
        self.daemon.hangs.clear()
        self.expect_pending()
        self.client.close(0)
        closed, self.client = self.client, cadzero_auth.Client(start=False, discovery=self.server.path)
        self.addCleanup(self.client.close)
        self.client.take_over(closed)
        with self.assertRaises(cadzero_auth.InteractionRequiredError):
            self.client.get_auth_header()
        self.daemon.hangs.set()
        self.client.status()
        self.wait_until_settled()
        self.assertIsNone(self.daemon.session)

    def test_a_refusal_of_the_daemon_is_told_and_ends_the_wait(self):
        self.client.status()
        self.daemon.refuses = 'read_only'
        with self.assertRaises(cadzero_auth.StoreUnavailableError):
            self.client.sign_out(timeout=60)
        self.assertFalse(self.client.is_signing_out())

    def test_a_new_sign_in_replaces_a_sign_out_that_waits(self):
        self.client.status()
        self.daemon.hangs.clear()
        self.expect_pending()
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            self.client.login(wait=False, timeout=0.05, environment={})
        self.assertFalse(self.client.is_signing_out())

    def test_an_unreachable_daemon_is_the_reason(self):
        self.client.status()
        self.server.stop_listening()
        self.daemon.connection.shutdown(2)
        with self.assertRaises(cadzero_auth.SignOutPendingError) as caught:
            self.client.sign_out(timeout=60)
        self.assertEqual(caught.exception.reason, 'unreachable')
