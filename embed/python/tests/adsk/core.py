"""The part `adsk.core` of the stand-in. `Application.pump` plays Fusion's main thread."""

import queue
import threading
import time
from types import SimpleNamespace


class _Event:
    def __init__(self):
        self.handlers = []

    def add(self, handler):
        self.handlers.append(handler)
        return True

    def fire(self, args):
        for handler in self.handlers:
            handler.notify(args)


class CustomEventHandler:
    pass


class HTMLEventHandler:
    pass


class Palette:
    def __init__(self, palettes, name, url):
        self.url = url
        self.received = []
        self.incomingFromHTML = _Event()
        self._palettes, self._name = palettes, name

    def sendInfoToHTML(self, action, data):
        Application.get().assert_main_thread()
        self.received.append((action, data))
        return 'OK'

    def deleteMe(self):
        del self._palettes._all[self._name]

    def ask(self, action, data='{}'):
        """Plays the page: sends a message to the add-in; returns its answer and the seconds that it took."""
        args = SimpleNamespace(action=action, data=data, returnData='')
        began = time.monotonic()
        self.incomingFromHTML.fire(args)
        return args.returnData, time.monotonic() - began


class _Palettes:
    def __init__(self):
        self._all = {}

    def add(self, name, title, url, *options):
        self._all[name] = Palette(self, name, url)
        return self._all[name]

    def itemById(self, name):
        return self._all.get(name)


class Application:
    _instance = None

    def __init__(self):
        self.userInterface = SimpleNamespace(palettes=_Palettes())
        self.lines = []
        self._events = {}
        self._fired = queue.Queue()
        self._main_thread = threading.current_thread()

    @classmethod
    def get(cls):
        cls._instance = cls._instance or cls()
        return cls._instance

    def log(self, text):
        self.assert_main_thread()
        self.lines.append(text)

    def registerCustomEvent(self, name):
        assert name not in self._events
        self._events[name] = _Event()
        return self._events[name]

    def unregisterCustomEvent(self, name):
        return self._events.pop(name, None) is not None

    def fireCustomEvent(self, name, info=''):
        if name not in self._events:
            return False
        self._fired.put((name, info))
        return True

    def assert_main_thread(self):
        assert threading.current_thread() is self._main_thread, 'adsk was used in another thread'

    def pump(self, seconds):
        """Handles the custom events that have been fired; waits up to `seconds` for the first."""
        try:
            name, info = self._fired.get(timeout=seconds)
        except queue.Empty:
            return
        if name in self._events:
            self._events[name].fire(SimpleNamespace(additionalInfo=info))
