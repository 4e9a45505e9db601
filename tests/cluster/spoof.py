# SPDX-License-Identifier: Apache-2.0
"""spoof.py SOURCE DESTINATION TIMES: IPv4 UDP packets from an address that need not be one's own (root)."""
import socket
import struct
import sys

src, dst, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
s = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
for _ in range(times):
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28, 0, 0, 64, 17, 0, socket.inet_aton(src), socket.inet_aton(dst))
    s.sendto(ip + struct.pack("!HHHH", 53, 53, 8, 0), (dst, 0))
