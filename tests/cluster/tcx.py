# SPDX-License-Identifier: Apache-2.0
"""tcx.py: how many tcx programs each device of this network namespace has, those with none left out (root). Debian 12's
bpftool does not know tcx."""
import ctypes
import os
import socket
import struct

PROG_QUERY, INGRESS, EGRESS, ROOM = 16, 46, 47, 64
SYS_BPF = {"x86_64": 321, "aarch64": 280}
libc = ctypes.CDLL(None, use_errno=True)


def count(number, ifindex, point):
    ids = (ctypes.c_uint32 * ROOM)()
    attr = ctypes.create_string_buffer(struct.pack("=IIIIQI", ifindex, point, 0, 0, ctypes.addressof(ids), ROOM), 128)
    if libc.syscall(number, PROG_QUERY, attr, len(attr)) < 0:
        return 0
    return struct.unpack_from("=I", attr, 24)[0]


for index, name in socket.if_nameindex():
    for point, word in ((INGRESS, "ingress"), (EGRESS, "egress")):
        n = count(SYS_BPF[os.uname().machine], index, point)
        if n:
            print(name, word, n)
