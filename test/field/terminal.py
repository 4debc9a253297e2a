"""Runs a command in a real terminal of its own (Linux). Reads JSON lines: {"type": text}, {"mode": true}, {"signal": number}.

Prints JSON lines: {"output": text} for what the command shows, {"mode": "raw" | "line"} if asked, {"stopped": true} with the
mode when the command is suspended, and at the end {"ended": exit code} with the mode.
"""

import json
import os
import pty
import select
import signal
import sys
import termios

told, tell = os.pipe()
leader, terminal = pty.fork()
if leader == 0:
    # As under a shell: a process group of its own, since the system stops none whose parent is outside of the session.
    command = os.fork()
    if command == 0:
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        os.setpgid(0, 0)
        os.tcsetpgrp(0, os.getpid())
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        os.execvp(sys.argv[1], sys.argv[1:])
    os.write(tell, str(command).encode())
    os._exit(abs(os.waitstatus_to_exitcode(os.waitpid(command, 0)[1])))
pid = int(os.read(told, 32))


def is_stopped():
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] == 'T'
    except OSError:  # it has just ended
        return False


def say(**event):
    print(json.dumps(event), flush=True)


def mode():
    flags = termios.tcgetattr(terminal)[3]
    return 'line' if flags & termios.ICANON and flags & termios.ECHO and flags & termios.ISIG else 'raw'


def show():
    try:
        text = os.read(terminal, 65536)
    except OSError:  # the command has closed its end
        return False
    if text:
        say(output=text.decode(errors='replace'))
    return bool(text)


pending = b''
was_stopped = False
while True:
    readable, _, _ = select.select([0, terminal], [], [], 0.05)
    if terminal in readable:
        show()
    ended, status = os.waitpid(leader, os.WNOHANG)
    if ended:
        while select.select([terminal], [], [], 0)[0] and show():
            pass
        say(ended=os.waitstatus_to_exitcode(status), mode=mode())
        break
    if is_stopped() != was_stopped:
        was_stopped = not was_stopped
        if was_stopped:
            say(stopped=True, mode=mode())
    if 0 not in readable:
        continue
    data = os.read(0, 65536)
    if not data:
        os.kill(pid, signal.SIGKILL)
        break
    pending += data
    *lines, pending = pending.split(b'\n')
    for line in lines:
        command = json.loads(line)
        typed = command.get('type', '').encode()
        while typed:
            # As a terminal does: as much as its buffer takes, while the output of the command is read.
            _, writable, _ = select.select([], [terminal], [], 5)
            typed = typed[os.write(terminal, typed[:512]):] if writable else b''
            while select.select([terminal], [], [], 0.002)[0] and show():
                pass
        if 'signal' in command:
            os.kill(pid, command['signal'])
        if 'mode' in command:
            say(mode=mode())
