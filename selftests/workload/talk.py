#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""talk.py serve BYTES BYTES | talk.py call BYTES BYTES PORT PORT: three connections, both ways at once.

Over IPv4, IPv6, and IPv4 to a socket of IPv6; either end sends a stream that can be told at any place, checks
the other's, and shuts down when its own is sent: the first number is what who serves sends on each.  It
says how far it is at each tenth, and "done", or what is wrong; and takes its time in the second half, so that it
is not over by the time that it is snapshotted on a busy machine.
"""
import random
import selectors
import socket
import sys
import time

role, nr_serve, nr_call = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
BLOCK = {who: random.Random(who).randbytes(251 * 1009) for who in ("serve", "call")}
other = {"serve": "call", "call": "serve"}[role]
to_send, to_come = {"serve": (nr_serve, nr_call), "call": (nr_call, nr_serve)}[role]


def stream(who, at, n):
    start = at % len(BLOCK[who])
    return (BLOCK[who][start:] + BLOCK[who])[:n]


class Talk:
    def __init__(self, sock):
        self.sock, self.sent, self.come, self.told = sock, 0, 0, 0
        self.wants = selectors.EVENT_READ | selectors.EVENT_WRITE
        sock.setblocking(False)
        talks.append(self)
        sel.register(sock, self.wants, self)

    def write(self):
        n = min(random.randrange(1, 100000), to_send - self.sent)
        if n:
            self.sent += self.sock.send(stream(role, self.sent, n))
        if self.sent == to_send:
            self.sock.shutdown(socket.SHUT_WR)
            self.wants &= ~selectors.EVENT_WRITE

    def read(self):
        data = self.sock.recv(random.randrange(1, 100000))
        if data != stream(other, self.come, len(data)):
            sys.exit("wrong at %d" % self.come)
        self.come += len(data)
        if data:
            return
        if self.come != to_come:
            sys.exit("ends at %d" % self.come)
        self.wants &= ~selectors.EVENT_READ

    def go_on(self):
        if self.wants:
            sel.modify(self.sock, self.wants, self)
        else:
            sel.unregister(self.sock)

    def tell(self):
        at = 10 * (self.sent + self.come) // (to_send + to_come)
        if at > self.told:
            self.told = at
            print("at", self.sock.fileno(), at, flush=True)


sel = selectors.DefaultSelector()
talks = []
if role == "serve":
    four = socket.create_server(("127.0.0.1", 0))
    both = socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True)
    print("ports", four.getsockname()[1], both.getsockname()[1], flush=True)
    for s in (four, both, both):
        Talk(s.accept()[0])
else:
    for to in (("127.0.0.1", int(sys.argv[4])), ("127.0.0.1", int(sys.argv[5])), ("::1", int(sys.argv[5]))):
        Talk(socket.create_connection(to))
while sel.get_map():
    for key, events in sel.select():
        try:
            if events & selectors.EVENT_WRITE:
                key.data.write()
            if events & selectors.EVENT_READ:
                key.data.read()
        except BlockingIOError:
            pass
        key.data.tell()
        key.data.go_on()
    time.sleep(0.02 if max(t.told for t in talks) < 5 else 0.06)
print("done", flush=True)
