"""Checks the signature of a Mach-O file with macholib's parser: its place, its segments and the hash of each page."""

import hashlib
import struct
import sys

from macholib.MachO import MachO

SEGMENT, SIGNATURE = 0x19, 0x1D
path = sys.argv[1]
with open(path, "rb") as file:
    data = file.read()
(header,) = MachO(path).headers
segments = [command for load, command, _ in header.commands if load.cmd == SEGMENT]
(place,) = [command for load, command, _ in header.commands if load.cmd == SIGNATURE]

in_file = sorted((s for s in segments if s.filesize), key=lambda s: s.fileoff)
for one, following in zip(in_file, in_file[1:]):
    assert one.fileoff + one.filesize <= following.fileoff, "segments overlap in the file"
in_memory = sorted(segments, key=lambda s: s.vmaddr)
for one, following in zip(in_memory, in_memory[1:]):
    assert one.vmaddr + one.vmsize <= following.vmaddr, "segments overlap in memory"
last = in_file[-1]
assert last.segname.rstrip(b"\0") == b"__LINKEDIT" and last is in_memory[-1], "__LINKEDIT is not last"
end = place.dataoff + place.datasize
assert last.fileoff + last.filesize == end == len(data), "the signature is not last"

blob = data[place.dataoff :]
magic, _, count = struct.unpack_from(">III", blob)
assert (magic, count) == (0xFADE0CC0, 1), "not one blob"
directory = blob[struct.unpack_from(">I", blob, 16)[0] :]
magic, _, _, flags, hashes, name, _, slots, limit = struct.unpack_from(">9I", directory)
assert (magic, limit) == (0xFADE0C02, place.dataoff), "not a CodeDirectory of the whole file"
for slot in range(slots):
    page = data[slot * 4096 : min((slot + 1) * 4096, limit)]
    expected = directory[hashes + slot * 32 : hashes + slot * 32 + 32]
    assert hashlib.sha256(page).digest() == expected, f"page {slot} differs"
print(directory[name : directory.index(b"\0", name)].decode(), hex(flags))
