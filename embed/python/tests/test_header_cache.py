"""The headers that the client holds: how long they are served, and what removes them."""

import threading
import time
import unittest
from unittest import mock

import cadzero_auth
from cadzero_auth import header_cache
from cadzero_auth.header_cache import CachedHeader, Freshness

from . import fake_daemon
from .fake_daemon import ClientTestCase, genuine, result_of

USER = {'id': 'user_1', 'email': None, 'name': None}


def token(number, life=3600, refresh_in=1800):
    """Returns the result of getAuthHeader for the token of this number."""
    now = time.time()
    return {
        'headers': {'Authorization': f'Bearer {number}'},
        'expiresAt': int(now + life),
        'refreshAt': int(now + refresh_in),
    }


def bearer(number):
    return {'Authorization': f'Bearer {number}'}


class FreshnessTest(unittest.TestCase):
    def setUp(self):
        self.wall, self.monotonic = 1_000_000.0, 50.0
        clock = mock.patch.multiple(
            header_cache.time, time=mock.Mock(side_effect=self.now), monotonic=mock.Mock(side_effect=self.uptime)
        )
        clock.start()
        self.addCleanup(clock.stop)

    def now(self):
        return self.wall

    def uptime(self):
        return self.monotonic

    def header(self, life=60):
        return CachedHeader(bearer(1), self.wall + life * 0.8, self.wall + life)

    def test_a_header_is_fresh_until_the_daemon_would_refresh_it_and_ends_with_its_token(self):
        header = self.header()
        for age, freshness in (
            (0, 'FRESH'),
            (47, 'FRESH'),
            (48, 'AGEING'),
            (50, 'AGEING'),
            (51, 'SHORT'),
            (60, 'NONE'),
        ):
            self.wall, self.monotonic = 1_000_000.0 + age, 50.0 + age
            self.assertEqual(header.freshness(None).name, freshness, age)

    def test_the_earlier_of_both_clocks_rules(self):
        header = self.header()
        self.wall += 61  # the computer slept, and its monotonic clock with it
        self.assertIs(header.freshness(None), Freshness.NONE)
        self.wall, self.monotonic = 1_000_000.0 - 3600, self.monotonic + 61  # the clock was set back
        self.assertIs(header.freshness(None), Freshness.NONE)

    def test_a_caller_that_needs_more_time_than_is_left_does_not_get_it(self):
        header = self.header()
        self.assertIs(header.freshness(59), Freshness.FRESH)
        self.assertIs(header.freshness(61), Freshness.SHORT)

    def test_a_short_lived_token_is_served_for_half_of_its_life(self):
        header = self.header(life=4)
        self.wall += 1.9
        self.assertIs(header.freshness(None), Freshness.FRESH)
        self.wall += 0.2
        self.assertIs(header.freshness(None), Freshness.SHORT)

    def test_a_token_that_nothing_can_refresh_is_served_until_its_end(self):
        header = CachedHeader(bearer(1), self.wall + 60, self.wall + 60)
        self.wall += 59
        self.assertIs(header.freshness(None), Freshness.FRESH)

    def test_a_header_is_served_for_ten_seconds_after_the_connection_was_lost(self):
        header = self.header()
        header.lost_at = self.monotonic
        self.monotonic += 9.9
        self.assertIs(header.freshness(None), Freshness.AGEING)
        self.monotonic += 0.2
        self.assertIs(header.freshness(None), Freshness.NONE)

    def test_the_next_header_is_asked_for_once_a_second(self):
        header = self.header()
        asked = []
        for _ in range(3):
            asked.append(header.may_ask())
            self.monotonic += 0.6
        self.assertEqual(asked, [True, False, True])


class StoreTest(unittest.TestCase):
    def test_an_answer_is_kept_only_if_it_was_asked_for_after_the_last_drop(self):
        for asked_at, is_kept in ((9.0, False), (10.0, False), (10.1, True)):  # a clock may stand still for a while
            with self.subTest(asked_at):
                cache = header_cache.HeaderCache()
                with mock.patch.object(header_cache.time, 'monotonic', return_value=10.0):
                    cache.drop('production')
                cache.store('production', token(1), asked_at)
                self.assertEqual(cache.find('production') is not None, is_kept)


class Server:
    """A daemon that counts its calls, gives the current token, and sends notifications."""

    def __init__(self):
        self.result = token(1)
        self.calls = []
        self.connection = None
        self.answered = threading.Semaphore(0)
        self.holds = threading.Event()
        self.holds.set()

    def talk(self, daemon, connection):
        self.connection = connection
        while True:
            call = daemon.read_call(connection)
            self.calls.append(call['method'])
            self.holds.wait(30)
            if isinstance(self.result, Exception):
                error = {'code': self.result.code, 'message': 'x', 'data': self.result.data}
                connection.sendall(fake_daemon.encode_json({'jsonrpc': '2.0', 'id': call['id'], 'error': error}))
            else:
                connection.sendall(fake_daemon.encode_frame(result_of(call, self.result)))
            self.answered.release()

    def notify(self, client, **changes):
        """Sends sessionChanged; returns when the client has read it."""
        status = {
            'profile': 'production',
            'state': 'signed_in',
            'user': USER,
            'sessionId': 'sess_1',
            'tokenExpiresAt': self.result['expiresAt'] if isinstance(self.result, dict) else None,
            **changes,
        }
        read = threading.Event()
        remove = client.on_change(lambda _: read.set())
        self.connection.sendall(fake_daemon.encode_json({'method': 'sessionChanged', 'params': status}))
        assert read.wait(30)
        remove()

    def wait_for_answers(self, number):
        for _ in range(number):
            assert self.answered.acquire(timeout=30)


SIGNED_OUT = cadzero_auth.InteractionRequiredError('x', 1001, {'reason': 'signed_out'})


class CacheTest(ClientTestCase):
    def setUp(self):
        self.server = Server()
        self.daemon, self.client = self.serve(genuine(self.server.talk))
        self.addCleanup(self.server.holds.set)

    def warm(self):
        """Makes the client hold the header of token 1, and know its session."""
        self.assertEqual(self.client.get_auth_header(), bearer(1))
        self.server.notify(self.client)
        self.client.get_auth_header()
        self.server.wait_for_answers(len(self.server.calls))
        self.server.calls.clear()

    def test_a_fresh_header_needs_no_call_and_no_wait(self):
        self.warm()
        for _ in range(100):
            self.assertEqual(self.client.get_auth_header(timeout=0), bearer(1))
        self.assertEqual(self.server.calls, [])

    def test_a_caller_cannot_change_the_header_of_another(self):
        self.warm()
        self.client.get_auth_header()['Authorization'] = 'x'
        self.assertEqual(self.client.get_auth_header(), bearer(1))

    def test_an_ageing_header_is_served_while_the_next_one_is_fetched(self):
        self.server.result = token(1, refresh_in=-1)
        self.assertEqual(self.client.get_auth_header(), bearer(1))
        self.server.wait_for_answers(1)
        self.server.result = token(2)
        self.server.holds.clear()
        for _ in range(5):
            self.assertEqual(self.client.get_auth_header(timeout=0), bearer(1))
        self.server.holds.set()
        self.server.wait_for_answers(1)
        self.assertEqual(self.client.status(), self.server.result)  # so that the answer before it has been handled
        self.assertEqual(self.client.get_auth_header(timeout=0), bearer(2))
        self.assertEqual(self.server.calls, ['getAuthHeader', 'getAuthHeader', 'status'])

    def test_a_logout_elsewhere_drops_the_header_before_the_listeners_hear_of_it(self):
        self.warm()
        self.server.result = SIGNED_OUT
        self.server.notify(self.client, state='signed_out', user=None, sessionId=None, tokenExpiresAt=None)
        with self.assertRaises(cadzero_auth.InteractionRequiredError):
            self.client.get_auth_header()

    def test_an_answer_that_arrives_after_a_logout_is_not_kept(self):
        self.warm()
        self.server.holds.clear()
        call = self.client._ask_for_header(None)
        while 'getAuthHeader' not in self.server.calls:
            self.assertFalse(call.done.wait(0.01))
        self.server.notify(self.client, state='signed_out', user=None, sessionId=None, tokenExpiresAt=None)
        self.server.holds.set()
        self.assertTrue(call.done.wait(30))
        for profile in (None, 'production'):
            self.assertIsNone(self.client._view.headers.find(profile))

    def test_another_session_drops_the_header(self):
        for change in ({'sessionId': 'sess_2'}, {'user': {**USER, 'id': 'user_2'}}):
            with self.subTest(change):
                self.setUp()
                self.warm()
                self.server.result = token(2)
                self.server.notify(self.client, **change)
                self.assertEqual(self.client.get_auth_header(), bearer(2))

    def test_a_new_token_of_the_same_session_is_fetched_while_the_old_one_is_served(self):
        self.warm()
        self.server.result = token(2, life=7200)
        self.server.notify(self.client)
        self.assertEqual(self.client.get_auth_header(timeout=0), bearer(1))
        self.server.wait_for_answers(1)
        self.client.status()
        self.assertEqual(self.client.get_auth_header(timeout=0), bearer(2))

    def test_a_change_of_another_profile_keeps_the_header_of_this_one(self):
        self.assertEqual(self.client.get_auth_header('staging'), bearer(1))
        self.server.notify(self.client, profile='local', sessionId='sess_9')
        self.assertEqual(self.client.get_auth_header('staging', timeout=0), bearer(1))

    def test_the_logout_of_this_client_drops_the_header_before_it_is_sent(self):
        self.warm()
        self.server.holds.clear()
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            self.client.logout(timeout=0.01)
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            self.client.get_auth_header(timeout=0.01)

    def test_a_rejected_header_is_not_served_again(self):
        self.warm()
        self.server.result = token(2)
        self.assertEqual(self.client.refresh(rejected='Bearer 1'), bearer(2))
        self.assertEqual(self.client.get_auth_header(timeout=0), bearer(2))

    def test_a_short_header_is_served_if_the_daemon_cannot_refresh_it(self):
        self.server.result = token(1, life=30, refresh_in=24)
        self.client.get_auth_header()
        self.server.result = cadzero_auth.TemporarilyUnavailableError('x', 1003, {'reason': 'network'})
        self.assertEqual(self.client.get_auth_header(min_validity_seconds=40), bearer(1))
        self.server.result = SIGNED_OUT
        with self.assertRaises(cadzero_auth.InteractionRequiredError):
            self.client.get_auth_header(min_validity_seconds=40)
        with self.assertRaises(cadzero_auth.InteractionRequiredError):
            self.client.get_auth_header()

    def test_a_daemon_that_does_not_say_how_long_a_header_may_be_kept_is_asked_each_time(self):
        del self.server.result['refreshAt']
        for _ in range(3):
            self.assertEqual(self.client.get_auth_header(), bearer(1))
        self.assertEqual(len(self.server.calls), 3)

    def test_after_a_loss_the_client_connects_again_by_itself_and_learns_of_a_logout(self):
        self.warm()
        self.server.result = SIGNED_OUT
        self.server.connection.shutdown(2)
        self.server.wait_for_answers(1)
        self.assertTrue(self.client._ask_for_header(None).done.wait(30))
        with self.assertRaises(cadzero_auth.InteractionRequiredError):
            self.client.get_auth_header()
        self.assertEqual(self.daemon.connections, 2)

    def test_without_a_daemon_the_header_is_served_for_a_while_only(self):
        self.warm()
        self.daemon.stop_listening()
        self.server.connection.shutdown(2)
        self.assertEqual(self.client.get_auth_header(timeout=0), bearer(1))
        with mock.patch('cadzero_auth.header_cache.LOST_SECONDS', -1), self.assertRaises(cadzero_auth.NoDaemonError):
            while True:  # until the client has noticed the loss
                self.client.get_auth_header()
