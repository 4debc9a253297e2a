"""A line between two network namespaces that delays each packet: slow-line.py MILLISECONDS NAME ADDRESS NAME ADDRESS."""

import ctypes
import fcntl
import heapq
import os
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PACKET_INFO = 0x1001
LARGEST_PACKET = 4096

libc = ctypes.CDLL(None, use_errno=True)


def open_end(name: str, address: str) -> int:
    """Makes an interface with the address in a namespace, and returns the descriptor of its packets."""
    here = os.open('/proc/self/ns/net', os.O_RDONLY)
    there = os.open(f'/run/netns/{name}', os.O_RDONLY)
    if libc.setns(there, 0) != 0:
        raise OSError(ctypes.get_errno(), 'setns')
    end = os.open('/dev/net/tun', os.O_RDWR)
    fcntl.ioctl(end, TUNSETIFF, struct.pack('16sH', b'line', IFF_TUN_NO_PACKET_INFO))
    libc.setns(here, 0)
    subprocess.check_call(['ip', '-n', name, 'address', 'add', address, 'dev', 'line'])
    subprocess.check_call(['ip', '-n', name, 'link', 'set', 'line', 'up'])
    return end


delay = float(sys.argv[1]) / 1000
ends = [open_end(*sys.argv[2:4]), open_end(*sys.argv[4:6])]
under_way: list[tuple[float, int, int, bytes]] = []
number = 0
print('open', flush=True)
while True:
    timeout = max(0.0, under_way[0][0] - time.monotonic()) if under_way else None
    for end in select.select(ends, [], [], timeout)[0]:
        number += 1
        other = ends[1 - ends.index(end)]
        heapq.heappush(under_way, (time.monotonic() + delay, number, other, os.read(end, LARGEST_PACKET)))
    while under_way and under_way[0][0] <= time.monotonic():
        _, _, other, packet = heapq.heappop(under_way)
        os.write(other, packet)
