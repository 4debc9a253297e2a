"""Shows the log of the client in Fusion's Text Commands window, which only the main thread may write to."""

import logging
import queue

_lines: 'queue.SimpleQueue[str]' = queue.SimpleQueue()


class _Handler(logging.Handler):
    def __init__(self, wake):
        super().__init__(logging.INFO)
        self._wake = wake

    def emit(self, record):
        _lines.put(self.format(record))
        self._wake()


def to_text_commands(app, wake):
    """Keeps each line until `flush`, and calls `wake`; returns the function that ends it."""
    logger = logging.getLogger('cadzero_auth')
    handler = _Handler(wake)
    handler.setFormatter(logging.Formatter('CADZERO: %(message)s'))
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)

    def end():
        logger.removeHandler(handler)
        flush(app)

    return end


def flush(app):
    """Writes the lines that have been kept. Call it on the main thread."""
    while not _lines.empty():
        app.log(_lines.get())
