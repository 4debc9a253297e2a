"""The circuit breaker: one caller waits for a daemon that is silent, the others do not."""

import threading
import unittest
from unittest import mock

import cadzero_auth
from cadzero_auth.attempts import GRACE_SECONDS, Attempts

from . import fake_daemon
from .fake_daemon import ClientTestCase, genuine, never_answer, result_of

STARTING = cadzero_auth.NoDaemonError('the daemon is starting', 'starting')


class BreakerTest(unittest.TestCase):
    def setUp(self):
        self.now = 100.0
        self.calls = []
        self.waits = []
        self.attempts = Attempts(self.calls.append, lambda: STARTING)
        for target in ('cadzero_auth.attempts.time', 'cadzero_auth.calls.time'):
            patch = mock.patch(target, monotonic=lambda: self.now)
            patch.start()
            self.addCleanup(patch.stop)
        patch = mock.patch.object(threading.Event, 'wait', self.waiter())
        patch.start()
        self.addCleanup(patch.stop)

    def waiter(self):
        """Returns what takes the place of Event.wait: it lets the time pass that a caller waits."""

        def wait(event, seconds):
            if not event.is_set():
                self.waits.append(round(seconds, 6))
                self.now += seconds
            return event.is_set()

        return wait

    def fails(self, timeout, method='getAuthHeader'):
        with self.assertRaises(cadzero_auth.AuthError) as caught:
            self.attempts.get((method, None, None), method, {}, timeout)
        return caught.exception

    def answer(self, call, **outcome):
        if outcome.get('error') is None or outcome['error'].code is not None:
            self.attempts.note_answer()
        call.finish(**outcome)

    def test_one_caller_waits_and_the_others_fail_at_once(self):
        self.assertEqual(self.fails(5.0).reason, 'starting')
        self.assertEqual(self.waits, [5.0])
        for timeout in (5.0, 0.2, 0):
            self.fails(timeout)
        self.assertEqual(self.waits[1:], [0, 0, 0])
        self.assertEqual(len(self.calls), 1)

    def test_a_caller_with_more_patience_waits_for_the_rest_of_it(self):
        self.fails(0.2)
        self.fails(5.0)
        self.assertEqual(self.waits, [0.2, 4.8])

    def test_after_a_slow_failure_a_new_attempt_gets_a_short_grace_until_one_succeeds(self):
        self.fails(5.0)
        failure = cadzero_auth.NoDaemonError('it ended', 'start_failed')
        self.answer(self.calls[0], error=failure)
        for _ in range(2):
            self.assertEqual(self.fails(5.0).reason, 'start_failed')
        self.assertEqual(self.waits, [5.0, GRACE_SECONDS, 0])
        self.answer(self.calls[1], result=7)
        self.fails(5.0)
        self.assertEqual(self.waits[-1], 5.0)

    def test_a_fast_failure_keeps_no_caller_from_the_next_attempt(self):
        self.fails(0.01)
        self.answer(self.calls[0], error=cadzero_auth.NoDaemonError('x', 'not_installed'))
        self.fails(5.0)
        self.assertEqual(self.waits, [0.01, 5.0])

    def test_another_question_gets_its_grace_and_its_answer_closes_the_breaker(self):
        self.fails(5.0)
        self.fails(5.0, 'status')
        self.assertEqual(self.waits, [5.0, GRACE_SECONDS])
        self.answer(self.calls[1], result={})
        self.assertEqual(self.fails(5.0, 'other').reason, 'starting')
        self.assertEqual(self.waits[-1], 5.0)

    def test_an_attempt_that_hangs_in_the_daemon_is_waited_for_once_although_the_daemon_answers_others(self):
        self.fails(5.0)
        self.fails(5.0, 'status')
        self.answer(self.calls[1], result={})
        self.fails(5.0)
        self.assertEqual(self.waits, [5.0, GRACE_SECONDS, 0])

    def test_a_caller_that_may_not_wait_does_not_wait(self):
        self.fails(0)
        self.assertEqual(self.waits, [0])

    def test_an_error_of_the_daemon_is_an_answer(self):
        self.fails(5.0)
        refused = cadzero_auth.InteractionRequiredError('x', 1001)
        self.answer(self.calls[0], error=refused)
        self.fails(5.0)
        self.assertEqual(self.waits, [5.0, 5.0])

    def test_after_a_close_nothing_is_left_of_an_attempt_that_hung(self):
        self.fails(5)
        self.now += 60
        self.attempts.reset()
        self.calls[0].finish(error=cadzero_auth.NoDaemonError('the client was closed', 'closed'))
        self.waits.clear()
        self.assertEqual(self.fails(5).reason, 'starting')
        self.assertEqual((len(self.calls), self.waits), (2, [5]))

    def test_a_call_that_cannot_be_sent_leaves_no_attempt_behind(self):
        refuse = mock.Mock(side_effect=cadzero_auth.NoDaemonError('x', 'resource_exhausted'))
        broken = Attempts(refuse, lambda: STARTING)
        for _ in range(2):
            with self.assertRaises(cadzero_auth.NoDaemonError):
                broken.get(('x', None, None), 'x', {}, 5.0)
        self.assertEqual(refuse.call_count, 2)


class SilentDaemonTest(ClientTestCase):
    def test_a_daemon_that_hangs_is_waited_for_once_and_used_again_when_it_answers(self):
        released = threading.Event()
        self.addCleanup(released.set)

        def talk(daemon, connection):
            call = daemon.read_call(connection)
            released.wait(60)
            connection.sendall(fake_daemon.encode_frame(result_of(call, {'state': 'signed_in'})))
            never_answer(daemon, connection)

        _, client = self.serve(genuine(talk))
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            client.status(timeout=0.01)
        with self.assertRaises(cadzero_auth.DaemonTimeoutError):
            client.status(timeout=0.01)
        released.set()
        self.assertEqual(client.status(timeout=60), {'state': 'signed_in'})

    def test_an_attempt_ends_by_itself_so_that_another_may_begin(self):
        _, client = self.serve(genuine(never_answer))
        with mock.patch('cadzero_auth.attempts.LONGEST_ATTEMPT', 0.05):
            call = client._ask_for_header(None)
        self.assertTrue(call.done.wait(30))
        self.assertEqual(call.error.reason, 'timeout')
        while client._ask_for_header(None) is call:
            pass  # its end is being noted
