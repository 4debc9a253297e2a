"""The installation of a bundle: what replaces what, and what is never run or left behind."""

import contextlib
import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock

import cadzero_auth
from cadzero_auth import InstallError, __main__, bundle, ensure_installed, install
from cadzero_auth.bundle import read_bundle
from cadzero_auth.bundle_installer import BundleInstaller
from cadzero_auth.versions import Build, build_of, semver

FOLDER = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TARGET = bundle.system_targets()[0]
INSTALLED_PATHS = cadzero_auth.launcher._installed_paths
FIRST, SECOND = '2026-01-01T00:00:00Z', '2026-01-02T00:00:00Z'


class InstallTestCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = os.path.join(folder.name, 'Zoë Ångström 太郎')
        self.bundle = os.path.join(self.home, 'Add In', 'cadzero-auth')
        self.ran = os.path.join(self.home, 'ran')
        os.makedirs(self.bundle)
        environment = {'HOME': self.home, 'PATH': '/usr/bin:/bin', 'CADZERO_AUTH_HOME': os.path.join(self.home, 'own')}
        patch = mock.patch.dict(os.environ, environment, clear=True)
        patch.start()
        self.addCleanup(patch.stop)
        self.program = os.path.join(self.home, '.local', 'bin', 'cadzero-auth')
        # No program of this computer is one that a package manager has installed.
        patch = mock.patch.object(cadzero_auth.launcher, '_installed_paths', lambda: [self.program])
        patch.start()
        self.addCleanup(patch.stop)

    def script(self, version, time=FIRST, service=0, extra=''):
        """Returns a program that notes its arguments, and says that it is this build."""
        answer = json.dumps({'version': version, 'commit': 'abc1234', 'commitTime': time})
        return (
            f'#!/bin/sh\n# {version} {time} {extra}\n'
            f'echo "{version} $*" >>"$HOME/ran"\n'
            f"case $1 in version) echo '{answer}';; service) echo 'error: no manager' >&2; exit {service};; esac\n"
        ).encode()

    def put(self, version, *args, damage=b'', **options):
        """Puts a program of this version into the bundle, and its checksum."""
        name = f'cadzero-auth-{version}-{TARGET}'
        content = self.script(version, *args, **options)
        with open(os.path.join(self.bundle, name), 'wb') as file:
            file.write(damage or content)
        with open(os.path.join(self.bundle, 'SHA256SUMS'), 'w', encoding='utf-8') as file:
            file.write(f'{hashlib.sha256(content).hexdigest()}  {name}\n')

    def install(self):
        """Installs; returns the kind of the result and the commands that were run."""
        with contextlib.suppress(FileNotFoundError):
            os.remove(self.ran)
        kind = ensure_installed(self.bundle).kind
        return kind, self.commands()

    def commands(self):
        try:
            with open(self.ran, encoding='utf-8') as file:
                return file.read().splitlines()
        except FileNotFoundError:
            return []

    def run_daemon(self, version, pid=None):
        """Lets a daemon of this version run: this process."""
        folder = os.path.join(self.home, 'own', 'data')
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, 'endpoint.json'), 'w', encoding='utf-8') as file:
            json.dump({'daemonVersion': version, 'pid': pid or os.getpid()}, file)

    def installed_version(self):
        with open(self.program, encoding='utf-8') as file:
            return file.read().split()[2]

    def assert_nothing_left_behind(self):
        self.assertEqual(sorted(os.listdir(os.path.dirname(self.program))), ['cadzero-auth'])


@unittest.skipIf(sys.platform == 'win32', 'needs scripts of POSIX')
class InstallTest(InstallTestCase):
    def test_the_first_call_installs_the_program_and_starts_its_service(self):
        self.put('1.2.0')
        self.assertEqual(self.install(), ('installed', ['1.2.0 version --json', '1.2.0 service install --json']))
        self.assertEqual(os.stat(self.program).st_mode & 0o777, 0o755)
        self.assert_nothing_left_behind()
        self.assertEqual(cadzero_auth.find_command(), [self.program])

    def test_the_same_program_is_left_and_not_even_run(self):
        self.put('1.2.0')
        self.install()
        self.assertEqual(self.install(), ('current', []))

    def test_only_a_newer_version_replaces_an_older_one(self):
        for version, kind, there in (
            ('1.2.0', 'installed', '1.2.0'),
            ('1.10.0', 'upgraded', '1.10.0'),
            ('1.9.9', 'newer', '1.10.0'),
            ('1.10.0-rc.1', 'newer', '1.10.0'),
            ('2.0.0-rc.2', 'upgraded', '2.0.0-rc.2'),
            ('2.0.0', 'upgraded', '2.0.0'),
        ):
            with self.subTest(version):
                self.put(version)
                self.assertEqual(self.install()[0], kind)
                self.assertEqual(self.installed_version(), there)
                self.assert_nothing_left_behind()

    def test_of_two_builds_of_one_version_the_later_commit_is_newer(self):
        for time, extra, kind in ((SECOND, '', 'installed'), (FIRST, '', 'newer'), (SECOND, 'rebuilt', 'newer')):
            self.put('1.2.0', time, extra=extra)
            self.assertEqual(self.install()[0], kind)

    def test_an_older_daemon_is_replaced_although_the_program_is_current(self):
        self.put('1.2.0')
        self.install()
        for running, commands in (('1.1.0', ['1.2.0 service install --json']), ('1.2.0', []), ('1.3.0', [])):
            with mock.patch.object(install, '_running_version', return_value=running):
                self.assertEqual(self.install(), ('current', commands))

    def test_the_installed_program_is_marked_as_the_add_ins(self):
        self.put('1.2.0')
        self.install()
        with open(os.path.join(self.home, 'own', 'data', 'installed-by.json'), encoding='utf-8') as file:
            mark = json.load(file)
            self.assertEqual(os.fstat(file.fileno()).st_mode & 0o777, 0o600)
        self.assertEqual(mark, {'installer': 'add-in', 'program': os.path.realpath(self.program), 'version': '1.2.0'})

    def test_without_a_service_manager_a_running_daemon_is_replaced_directly(self):
        self.put('1.2.0', service=1)
        running = mock.patch.object(install, '_running_version', return_value='1.1.0')
        with running, mock.patch.object(install, 'start_daemon') as start:
            done = ensure_installed(self.bundle)
        self.assertEqual((done.kind, done.note), ('installed', 'no manager'))
        start.assert_called_once_with([self.program], replace=True)

    def test_a_newer_daemon_that_runs_is_not_replaced(self):
        self.run_daemon('1.3.0')
        self.put('1.2.0')
        done = ensure_installed(self.bundle)
        self.assertEqual((done.kind, done.note), ('installed', 'a newer daemon, 1.3.0, is running'))
        self.assertEqual(self.commands(), ['1.2.0 version --json'])

    def test_a_daemon_that_has_ended_is_not_taken_for_a_running_one(self):
        self.run_daemon('1.3.0', pid=2**30)
        self.put('1.2.0')
        self.assertEqual(self.install()[1], ['1.2.0 version --json', '1.2.0 service install --json'])

    def test_a_daemon_that_holds_the_output_of_its_starter_keeps_no_caller_waiting(self):
        self.put('1.2.0', extra='\ncase $1 in service) exec sleep 600 & echo $! >"$HOME/sleeper"; exit 0;; esac')
        try:
            with mock.patch('cadzero_auth.versions.OUTPUT_SECONDS', 0.1):
                self.assertIsNone(ensure_installed(self.bundle).note)
        finally:
            with open(os.path.join(self.home, 'sleeper'), encoding='utf-8') as file:
                os.kill(int(file.read()), signal.SIGKILL)

    def test_a_service_that_does_not_end_is_told_in_words(self):
        self.put('1.2.0', extra='\ncase $1 in service) exec sleep 600;; esac')
        with mock.patch.object(install, 'SERVICE_SECONDS', 0.2):
            self.assertEqual(ensure_installed(self.bundle).note, 'it did not end within 0 seconds')

    def test_a_program_that_is_still_open_for_writing_is_tried_again(self):
        self.put('1.2.0')
        popen, tries = subprocess.Popen, []

        def busy_once(*args, **options):
            tries.append(1)
            if len(tries) == 1:
                raise OSError(errno.ETXTBSY, 'Text file busy')
            return popen(*args, **options)

        with mock.patch.object(subprocess, 'Popen', busy_once):
            self.assertEqual(self.install()[0], 'installed')

    def test_a_folder_that_other_users_can_write_to_is_refused_and_its_program_not_run(self):
        self.put('1.2.0')
        self.install()
        self.put('1.3.0')
        os.remove(self.ran)
        os.chmod(os.path.dirname(self.program), 0o777)
        with self.assertRaises(InstallError) as caught:
            ensure_installed(self.bundle)
        self.assertEqual((caught.exception.reason, self.commands()), ('unsafe_folder', []))

    def test_an_empty_home_variable_finds_the_program_where_it_was_installed(self):
        self.put('1.2.0')
        with (
            mock.patch.dict(os.environ, {'HOME': ''}),
            mock.patch('cadzero_auth.folders._registered_home', lambda: self.home),
        ):
            ensure_installed(self.bundle)
            self.assertIn(self.program, INSTALLED_PATHS())

    def test_a_damaged_program_is_never_run_and_leaves_what_was_there(self):
        self.put('1.2.0')
        self.install()
        whole = self.script('1.3.0')
        for damage in (whole[: len(whole) // 2], whole + b'\n', whole.replace(b'echo', b'evil', 1)):
            self.put('1.3.0', damage=damage)
            with self.assertRaises(InstallError) as caught:
                self.install()
            self.assertEqual(caught.exception.reason, 'damaged')
            self.assertNotIn('1.3.0 version --json', self.commands())
            self.assertEqual(self.installed_version(), '1.2.0')
            self.assert_nothing_left_behind()

    def test_a_program_that_does_not_run_here_is_not_installed(self):
        content = b'\x7fELF of another system'
        self.put('1.2.0')
        with open(os.path.join(self.bundle, f'cadzero-auth-1.2.0-{TARGET}'), 'wb') as file:
            file.write(content)
        with open(os.path.join(self.bundle, 'SHA256SUMS'), 'w', encoding='utf-8') as file:
            file.write(f'{hashlib.sha256(content).hexdigest()}  cadzero-auth-1.2.0-{TARGET}\n')
        with self.assertRaises(InstallError) as caught:
            self.install()
        self.assertEqual(caught.exception.reason, 'does_not_run')
        self.assertFalse(os.path.exists(self.program))

    def test_an_installed_program_that_is_broken_is_replaced(self):
        os.makedirs(os.path.dirname(self.program))
        with open(self.program, 'wb') as file:
            file.write(b'\x7fELF half')
        os.chmod(self.program, 0o755)
        self.put('1.2.0')
        self.assertEqual(self.install()[0], 'installed')

    def test_a_program_that_may_not_be_executed_or_is_a_pipe_is_replaced(self):
        self.put('1.2.0')
        self.install()
        os.chmod(self.program, 0o644)
        self.install()
        self.assertTrue(os.access(self.program, os.X_OK))
        os.remove(self.program)
        os.mkfifo(self.program)
        self.assertIn(self.install()[0], {'installed', 'upgraded'})
        self.assertEqual(self.installed_version(), '1.2.0')

    def test_a_program_of_a_package_manager_is_left_to_it(self):
        self.put('1.2.0')
        other = os.path.join(self.home, 'usr', 'cadzero-auth')
        os.makedirs(os.path.dirname(other))
        with open(other, 'wb') as file:
            file.write(self.script('1.0.0'))
        os.chmod(other, 0o755)
        with mock.patch.object(cadzero_auth.launcher, '_installed_paths', lambda: [other, self.program]):
            done = ensure_installed(self.bundle)
        self.assertEqual((done.kind, done.program, done.version), ('managed', other, '1.0.0'))
        self.assertFalse(os.path.exists(self.program))

    def test_a_link_in_the_place_of_the_program_is_left_too(self):
        self.put('1.2.0')
        os.makedirs(os.path.dirname(self.program))
        os.symlink('/bin/true', self.program)
        self.assertEqual(self.install()[0], 'managed')
        self.assertEqual(os.readlink(self.program), '/bin/true')

    def test_two_instances_of_fusion_install_once(self):
        self.put('1.2.0')
        kinds = []
        threads = [threading.Thread(target=lambda: kinds.append(ensure_installed(self.bundle).kind)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(sorted(kinds), ['current', 'current', 'current', 'installed'])
        self.assert_nothing_left_behind()

    def test_an_interrupted_installation_is_swept(self):
        self.put('1.2.0')
        os.makedirs(os.path.dirname(self.program))
        with open(os.path.join(os.path.dirname(self.program), '.cadzero-auth-0f0f0f0f-cadzero-auth'), 'wb') as file:
            file.write(self.script('1.2.0')[:20])
        self.assertEqual(self.install()[0], 'installed')
        self.assert_nothing_left_behind()

    def test_what_an_interrupted_update_has_left_does_not_put_an_older_program_back(self):
        self.put('1.2.0')
        staging = os.path.join(os.path.dirname(self.program), '.cadzero-auth-update')
        os.makedirs(staging)
        for path in (f'{self.program}.previous', os.path.join(staging, 'undo')):
            with open(path, 'w', encoding='utf-8'):
                pass
        self.assertEqual(self.install()[0], 'installed')
        self.assertFalse(os.path.exists(f'{self.program}.previous'))
        self.assert_nothing_left_behind()

    def test_a_full_disk_leaves_what_was_there_and_says_so(self):
        self.put('1.2.0')
        self.install()
        self.put('1.3.0')
        with (
            mock.patch('os.fsync', side_effect=OSError(28, os.strerror(28))),
            self.assertRaises(InstallError) as caught,
        ):
            self.install()
        self.assertEqual(caught.exception.reason, 'not_writable')
        self.assertIn('No space left', caught.exception.message)
        self.assertEqual(self.installed_version(), '1.2.0')
        self.assert_nothing_left_behind()

    def test_a_program_that_runs_is_moved_aside_as_windows_requires(self):
        self.put('1.2.0')
        self.install()
        self.put('1.3.0')
        replace = os.replace

        def windows(source, target):
            if target == self.program and os.path.exists(target):
                raise PermissionError
            replace(source, target)

        with mock.patch('os.replace', windows):
            self.assertEqual(self.install()[0], 'upgraded')
        self.assertEqual(self.installed_version(), '1.3.0')
        self.assertEqual(len(os.listdir(os.path.dirname(self.program))), 2)  # the old one, which runs
        self.put('1.4.0')
        self.install()
        self.assert_nothing_left_behind()

    def test_a_copy_that_a_virus_scanner_holds_leaves_what_was_there(self):
        self.put('1.2.0')
        self.install()
        self.put('1.3.0')
        replace, aside = os.replace, []

        def windows(source, target):
            if source == self.program:
                aside.append(target)
            elif source not in aside:
                raise PermissionError
            replace(source, target)

        with mock.patch('os.replace', windows), self.assertRaises(InstallError) as caught:
            self.install()
        self.assertEqual(caught.exception.reason, 'not_writable')
        self.assertEqual(self.installed_version(), '1.2.0')
        self.assert_nothing_left_behind()

    def test_a_held_lock_is_told_after_a_while(self):
        self.put('1.2.0')
        os.makedirs(os.path.dirname(self.program))
        lock = install.locked(os.path.join(os.path.dirname(self.program), '.cadzero-auth-lock'), 0)
        with lock, mock.patch.object(install, 'LOCK_SECONDS', 0), self.assertRaises(InstallError) as caught:
            self.install()
        self.assertEqual(caught.exception.reason, 'busy')


class BundleTest(InstallTestCase):
    def sums(self, *names):
        with open(os.path.join(self.bundle, 'SHA256SUMS'), 'w', encoding='utf-8') as file:
            file.writelines(f'{"0" * 64}  {name}\n' for name in names)

    def test_a_bundle_without_checksums_or_for_other_systems_is_refused(self):
        for reason, names in (
            ('no_bundle', None),
            ('no_program_for_system', ['cadzero-auth-1.0.0-amiga']),
            ('no_program_for_system', [f'../cadzero-auth-1.0.0-{TARGET}', f'x/cadzero-auth-1.0.0-{TARGET}']),
        ):
            if names is not None:
                self.sums(*names)
            with self.subTest(reason), self.assertRaises(InstallError) as caught:
                ensure_installed(self.bundle)
            self.assertEqual(caught.exception.reason, reason)

    def test_the_program_of_each_system_is_found(self):
        self.sums(
            'cadzero-auth-1.0.0-win-x64.exe',
            'cadzero-authd-1.0.0-win-x64.exe',
            'cadzero-auth-1.0.0-macos-arm64',
            'cadzero-auth-1.0.0-macos-x64',
            'cadzero-auth-1.0.0-linux-arm64',
            'cadzero-auth-1.0.0-linux-x64',
            'sbom.cdx.json',
        )
        for system, machine, version, names in (
            ('win32', 'AMD64', '', ['cadzero-auth.exe', 'cadzero-authd.exe']),
            ('darwin', 'arm64', '', ['cadzero-auth']),
            ('darwin', 'x86_64', 'Darwin Kernel Version 23; RELEASE_ARM64_T6000', ['cadzero-auth']),
            ('darwin', 'x86_64', 'Darwin Kernel Version 23; RELEASE_X86_64', ['cadzero-auth']),
            ('linux', 'aarch64', '', ['cadzero-auth']),
            ('linux', 'x86_64', '', ['cadzero-auth']),
        ):
            with contextlib.ExitStack() as stack:
                stack.enter_context(mock.patch.object(bundle.sys, 'platform', system))
                stack.enter_context(mock.patch.object(bundle.platform, 'machine', return_value=machine))
                stack.enter_context(mock.patch.object(bundle.platform, 'version', return_value=version))
                target = bundle.system_targets()[0]
                found = read_bundle(self.bundle)
            self.assertEqual([file.target_name for file in found.files], names)
            self.assertIn(target, found.files[0].path)
        self.assertEqual(target, 'linux-x64')

    def test_checksums_of_other_tools_are_read(self):
        self.put('1.2.0')
        path = os.path.join(self.bundle, 'SHA256SUMS')
        with open(path, encoding='utf-8') as file:
            digest, name = file.read().split()
        for text in (f'{digest.upper()}  {name}\r\n', f'\ufeff{digest} *{name}\n', f'{digest}  ./{name}\n'):
            with self.subTest(text), open(path, 'w', encoding='utf-8', newline='') as file:
                file.write(text)
            self.assertEqual(read_bundle(self.bundle).files[0].sha256, digest)

    def test_a_program_that_has_no_checksum_or_is_gone_is_named(self):
        self.put('1.2.0')
        name = f'cadzero-auth-1.2.0-{TARGET}'
        for text in ('', f'{"0" * 64}  ../{name}\n'):
            with open(os.path.join(self.bundle, 'SHA256SUMS'), 'w', encoding='utf-8') as file:
                file.write(text)
            with self.assertRaisesRegex(InstallError, f'not in SHA256SUMS: {name}'):
                read_bundle(self.bundle)
        self.put('1.2.0')
        os.remove(os.path.join(self.bundle, name))
        with self.assertRaisesRegex(InstallError, f'cannot be read: {name}') as caught:
            ensure_installed(self.bundle)
        self.assertEqual(caught.exception.reason, 'damaged')

    def test_the_newest_of_several_versions_is_taken(self):
        self.sums(*(f'cadzero-auth-{version}-{TARGET}' for version in ('1.9.0', '1.10.0', '1.10.0-rc.1')))
        self.assertEqual(read_bundle(self.bundle).version, '1.10.0')


class VersionTest(unittest.TestCase):
    def test_versions_sort_as_semver_says(self):
        sorted_versions = [
            'nonsense', '0.9.0', '1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-alpha.beta', '1.0.0-beta.2', '1.0.0-beta.11',
            '1.0.0-rc.1', '1.0.0', '1.2.0', '1.10.0', '2.0.0',
        ]  # fmt: skip
        self.assertEqual(sorted({*sorted_versions}, key=semver), sorted_versions)
        self.assertEqual(semver('1.0.0+build'), semver('1.0.0'))

    def test_a_build_that_says_no_time_is_older_than_one_that_does(self):
        self.assertTrue(Build('1.0.0', FIRST).is_newer_than(Build('1.0.0', '')))
        self.assertFalse(Build('1.0.0', FIRST).is_newer_than(Build('1.0.0', FIRST)))

    def test_a_program_of_version_1_0_says_its_version_only(self):
        code = "import sys; sys.exit(2) if sys.argv[1:] != ['--version'] else print('1.0.0 (abc1234)')"
        self.assertEqual(build_of([sys.executable, '-c', code]), Build('1.0.0', ''))
        self.assertIsNone(build_of([sys.executable, '-c', 'raise SystemExit(1)']))
        self.assertIsNone(build_of(['/no/such/program']))


@unittest.skipIf(sys.platform == 'win32', 'needs scripts of POSIX')
class CommandLineTest(InstallTestCase):
    def test_the_command_says_what_it_did_and_how_to_remove_it(self):
        self.put('1.2.0')
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            self.assertEqual(__main__.main(['install', self.bundle]), 0)
        self.assertIn(f'cadzero-auth 1.2.0: installed: {self.program}\n', output.getvalue())
        self.assertIn(f'"{self.program}" service uninstall --purge\nrm "{self.program}"\n', output.getvalue())

    def test_on_windows_a_second_command_removes_the_addon_that_the_first_has_loaded(self):
        with mock.patch('sys.platform', 'win32'), mock.patch.object(install, 'program_folder', lambda: 'P'):
            lines = cadzero_auth.removal_instructions().split('\n')
        first, second = (f'"{os.path.join("P", name)}"' for name in ('cadzero-auth.exe', 'cadzero-authd.exe'))
        self.assertEqual(
            lines, [f'{first} service uninstall --purge', f'{first} service uninstall', f'del {first} {second}']
        )

    def test_a_failure_is_an_error_and_a_hint(self):
        process = subprocess.run(
            [sys.executable, '-B', '-m', 'cadzero_auth', 'install', self.bundle],
            cwd=FOLDER,
            capture_output=True,
            encoding='utf-8',
        )
        self.assertEqual((process.returncode, process.stdout), (1, ''))
        self.assertRegex(process.stderr, '^error: the add-in has no SHA256SUMS.*\nhint: install the add-in again\n$')

    def test_a_wrong_home_folder_is_an_error_and_a_hint_too(self):
        self.put('1.2.0')
        errors = io.StringIO()
        with mock.patch.dict(os.environ, {'HOME': 'relative'}), contextlib.redirect_stderr(errors):
            self.assertEqual(__main__.main(['install', self.bundle]), 1)
        self.assertRegex(errors.getvalue(), '^error: HOME is not .*\nhint: .*\n$')

    def test_the_bundle_of_an_add_in_is_installed_before_the_first_start(self):
        self.put('1.2.0')
        installer = BundleInstaller(self.bundle)
        client = cadzero_auth.Client(prepare=installer.run, discovery=os.path.join(self.home, 'none'))
        self.addCleanup(client.close)
        with self.assertRaises(cadzero_auth.NoDaemonError) as caught:
            client.status(timeout=60)  # the script is no daemon
        self.assertEqual(caught.exception.reason, 'start_failed')
        self.assertEqual(installer.installed.kind, 'installed')
        self.assertIn('1.2.0 daemon --passphrase-stdin', self.commands())

    def test_why_an_installation_failed_is_why_the_program_is_missing(self):
        self.put('1.2.0', damage=b'x')
        client = cadzero_auth.Client(prepare=BundleInstaller(self.bundle).run, discovery=os.path.join(self.home, 'x'))
        self.addCleanup(client.close)
        for _ in range(2):
            with self.assertRaisesRegex(cadzero_auth.NoDaemonError, 'is damaged') as caught:
                client.status(timeout=60)
            self.assertEqual(caught.exception.reason, 'not_installed')
