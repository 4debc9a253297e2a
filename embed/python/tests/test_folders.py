"""The folders that the environment names, and the environments that name none."""

import os
import subprocess
import sys
import tempfile
import unittest
from unittest import mock

import cadzero_auth
from cadzero_auth import folders
from cadzero_auth.launcher import start_daemon

POSIX = sys.platform != 'win32'


class FoldersTestCase(unittest.TestCase):
    def set(self, platform='linux', registered='/home/ada', **variables):
        """Sets the whole environment, and the home folder in the system's list of users."""
        for patch in (
            mock.patch.dict(os.environ, variables, clear=True),
            mock.patch('sys.platform', platform),
            mock.patch('cadzero_auth.folders._registered_home', lambda: registered),
        ):
            patch.start()
            self.addCleanup(patch.stop)

    def discovery_file(self, **environment):
        self.set(**environment)
        return cadzero_auth.discovery_file().replace('\\', '/')

    def assert_refused(self, variable, pattern, **environment):
        self.set(**environment)
        with self.assertRaisesRegex(cadzero_auth.ConfigurationError, pattern) as caught:
            cadzero_auth.discovery_file()
        self.assertEqual(caught.exception.code, 1007)
        self.assertEqual(caught.exception.data['setting'], variable)


class PathTest(FoldersTestCase):
    def test_each_system_has_its_own_folder(self):
        variables = {'HOME': '/home/ada', 'XDG_DATA_HOME': '/data', 'LOCALAPPDATA': 'D:\\local'}
        paths = {
            'linux': '/data/cadzero-auth/endpoint.json',
            'darwin': '/home/ada/Library/Application Support/cadzero-auth/endpoint.json',
            'win32': 'D:/local/cadzero-auth/Data/endpoint.json',
        }
        for platform, path in paths.items():
            with self.subTest(platform):
                self.assertEqual(self.discovery_file(platform=platform, **variables), path)

    def test_a_missing_or_empty_home_variable_means_the_home_folder_of_the_list_of_users(self):
        for variables in ({}, {'HOME': ''}, {'HOME': '', 'XDG_DATA_HOME': ''}):
            with self.subTest(variables):
                path = self.discovery_file(**variables)
                self.assertEqual(path, '/home/ada/.local/share/cadzero-auth/endpoint.json')

    def test_a_home_folder_is_needed_only_if_the_path_depends_on_it(self):
        for variables in ({'CADZERO_AUTH_HOME': '/x'}, {'CADZERO_AUTH_HOME': '/x', 'HOME': 'relative'}):
            with self.subTest(variables):
                self.assertEqual(self.discovery_file(registered=None, **variables), '/x/data/endpoint.json')
        path = self.discovery_file(registered=None, XDG_DATA_HOME='/data')
        self.assertEqual(path, '/data/cadzero-auth/endpoint.json')
        for variables in ({}, {'HOME': ''}, {'XDG_CONFIG_HOME': '/config'}):
            with self.subTest(variables):
                self.assert_refused('HOME', '^HOME is not set', registered=None, **variables)

    def test_a_relative_path_is_refused_by_the_name_of_its_variable(self):
        for variable in ('CADZERO_AUTH_HOME', 'XDG_CONFIG_HOME', 'XDG_DATA_HOME', 'XDG_STATE_HOME', 'HOME'):
            for path in ('relative', '~', '~/.local/share', '$HOME/x', '.'):
                with self.subTest(variable, path=path):
                    self.assert_refused(variable, f'^{variable} is not an absolute path: "', **{variable: path})
        for variable in ('CADZERO_AUTH_HOME', 'APPDATA', 'LOCALAPPDATA'):
            for path in ('relative', '\\relative', 'C:relative', '%USERPROFILE%\\x'):
                with self.subTest(variable, path=path):
                    pattern = f'^{variable} is not an absolute path: "'
                    self.assert_refused(variable, pattern, platform='win32', **{variable: path})

    @unittest.skipUnless(POSIX, 'needs paths of bytes')
    def test_a_path_that_is_not_utf8_is_refused(self):
        latin1 = os.fsdecode(b'/home/h\xe9l\xe8ne')
        for variable in ('HOME', 'XDG_DATA_HOME', 'CADZERO_AUTH_HOME'):
            with self.subTest(variable):
                self.assert_refused(variable, f'^the path in {variable} is not valid UTF-8', **{variable: latin1})

    @unittest.skipUnless(POSIX, 'needs paths of bytes')
    def test_a_path_in_utf8_is_found_in_every_locale(self):
        code = 'import os, cadzero_auth; print(ascii(os.fsencode(cadzero_auth.discovery_file()).decode()))'
        home = "/home/Iván 設計's $x %h"
        for locale in ({'LC_ALL': 'C', 'PYTHONCOERCECLOCALE': '0', 'PYTHONUTF8': '0'}, {'LC_ALL': 'C.UTF-8'}):
            with self.subTest(locale):
                environment = {'PATH': os.environ['PATH'], 'CADZERO_AUTH_HOME': home, **locale}
                package = os.path.dirname(os.path.dirname(os.path.abspath(cadzero_auth.__file__)))
                output = subprocess.check_output([sys.executable, '-B', '-c', code], cwd=package, env=environment)
                self.assertEqual(output.decode().strip(), ascii(home + '/data/endpoint.json'))

    def test_a_call_raises_the_same_error_and_starts_nothing(self):
        self.set(CADZERO_AUTH_HOME='relative')
        client = cadzero_auth.Client()
        self.addCleanup(client.close)
        error = cadzero_auth.ConfigurationError
        with mock.patch('cadzero_auth.launcher.start_daemon') as start, self.assertRaises(error) as caught:
            client.get_auth_header()
        self.assertIn('CADZERO_AUTH_HOME is not an absolute path', str(caught.exception))
        start.assert_not_called()


class WorkingFolderTest(FoldersTestCase):
    def test_it_is_the_home_folder_if_that_exists(self):
        with tempfile.TemporaryDirectory() as home:
            self.set(sys.platform, HOME=home, USERPROFILE=home)
            self.assertEqual(folders.working_folder(), home)

    def test_it_is_the_root_of_the_system_otherwise(self):
        for home in ('', 'relative', '/nonexistent', os.path.abspath(__file__)):
            with self.subTest(home):
                self.set(registered=None, HOME=home)
                self.assertEqual(folders.working_folder(), '/')
        with mock.patch('os.path.splitdrive', lambda path: (path[:2], path[2:])):
            self.set('win32', registered=None, USERPROFILE='Z:\\gone', SYSTEMROOT='D:\\Windows')
            self.assertEqual(folders.working_folder(), 'D:\\')

    @unittest.skipUnless(POSIX, 'needs a POSIX home folder')
    def test_a_daemon_starts_although_the_home_folder_does_not_exist(self):
        with tempfile.TemporaryDirectory() as folder:
            script = os.path.join(folder, 'script.py')
            with open(script, 'w', encoding='utf-8') as file:
                file.write('')
            with mock.patch.dict(os.environ, {'HOME': '/nonexistent'}):
                self.assertEqual(start_daemon([sys.executable, script]).wait(30), 0)
