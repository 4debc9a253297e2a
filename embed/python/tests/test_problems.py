"""The words for the user of an add-in."""

import unittest

from cadzero_auth import NoDaemonError, SignOutPendingError, errors, problem_of
from cadzero_auth.problems import state_of


class ProblemTest(unittest.TestCase):
    def test_each_error_has_a_code_a_sentence_and_what_to_do(self):
        kinds = [*errors.ERRORS_BY_CODE.values(), errors.ConnectionLostError, errors.DaemonTimeoutError]
        cases = [kind('not shown') for kind in (*kinds, errors.NotGenuineError)]
        cases += [NoDaemonError('it is so', reason) for reason in errors.NO_DAEMON_HINTS]
        cases.append(errors.AuthError('it is so'))
        for error in cases:
            problem = problem_of(error)
            with self.subTest(problem.code, kind=type(error).__name__):
                self.assertRegex(problem.code, r'^[a-z_]+$')
                for sentence in (problem.message, problem.hint):
                    self.assertRegex(sentence, r'^\S.*\.$')
                    self.assertEqual(sentence[0], sentence[0].upper())
                self.assertNotIn('not shown', str(problem))

    def test_the_reason_and_the_hint_of_the_daemon_are_kept(self):
        error = errors.StoreUnavailableError('x', 1005, {'reason': 'read_only', 'hint': 'mount it'})
        self.assertEqual(
            problem_of(error).to_dict(),
            {'code': 'read_only', 'message': 'Your session cannot be read at present.', 'hint': 'Mount it.'},
        )
        failed = NoDaemonError('the daemon was started, but ended with code 1', 'start_failed', 'do that')
        self.assertEqual(str(problem_of(failed)), 'The daemon was started, but ended with code 1. Do that.')

    def test_an_unknown_profile_is_answered_with_those_there_are(self):
        wrong = errors.ConfigurationError('x', 1007, {'setting': 'profile', 'expected': 'one of local, production'})
        text = 'The add-in asks for a profile that cadzero-auth does not have. Use one of local, production.'
        self.assertEqual(str(problem_of(wrong)), text)

    def test_a_program_that_was_not_installed_says_why(self):
        damaged = NoDaemonError('the program is damaged', 'not_installed', 'install the add-in again')
        self.assertEqual(str(problem_of(damaged)), 'The program is damaged. Install the add-in again.')
        missing = problem_of(NoDaemonError('x', 'not_installed'))
        self.assertNotIn('CADZERO_AUTH_COMMAND', missing.hint)

    def test_a_sign_out_that_waits_says_that_the_user_is_not_signed_out(self):
        for reason in (*errors.NO_DAEMON_HINTS, 'timeout', 'key_locked'):
            data = {'reason': reason, 'hint': 'wait'}
            pending = SignOutPendingError('you are not signed out yet: it is so', data=data)
            self.assertRegex(str(problem_of(pending)), r'^You are not signed out yet[.:] .*\. Wait\.$')

    def test_no_failure_but_the_daemons_own_word_means_signed_out(self):
        self.assertEqual(state_of(errors.InteractionRequiredError('x', 1001)), 'signed_out')
        for reason in errors.NO_DAEMON_HINTS:
            expected = 'starting' if reason in {'starting', 'start_timeout'} else 'unavailable'
            self.assertEqual(state_of(NoDaemonError('x', reason)), expected)
        for kind in (errors.NotGenuineError, errors.StoreUnavailableError, errors.TemporarilyUnavailableError):
            self.assertEqual(state_of(kind('x')), 'unavailable')
