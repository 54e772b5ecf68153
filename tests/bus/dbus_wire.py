"""D-Bus by hand: what vigild reads here was not written by the library that vigild reads it with, and can be as
wrong as a test wants it."""

import array
import os
import socket
import struct

MANAGER, SESSION, STEPUP = "org.vigil1.Manager", "org.vigil1.Session", "org.vigil1.StepUp"
FIXED = {"y": ("B", 1), "b": ("I", 4), "u": ("I", 4), "h": ("I", 4), "i": ("i", 4), "t": ("Q", 8), "q": ("H", 2)}
ALIGNMENT = {"s": 4, "o": 4, "g": 1, "a": 4, "(": 8, "{": 8, "v": 1, **{kind: size for kind, (_, size) in FIXED.items()}}
CLOSING = {"(": ")", "{": "}"}
CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
PATH, INTERFACE, MEMBER, ERROR_NAME, REPLY_SERIAL, DESTINATION, SENDER, SIGNATURE, UNIX_FDS = range(1, 10)


class BusError(Exception):
    def __init__(self, name, text):
        super().__init__(f"{name}: {text}")
        self.name, self.text = name, text


def first_type(signature):
    if signature[0] == "a":
        return "a" + first_type(signature[1:])
    if signature[0] not in CLOSING:
        return signature[0]
    depth = 0
    for place, letter in enumerate(signature):
        depth += (letter in "({") - (letter in ")}")
        if depth == 0:
            return signature[:place + 1]
    raise ValueError(signature)


def types(signature):
    while signature:
        one = first_type(signature)
        yield one
        signature = signature[len(one):]


class Writer:
    def __init__(self):
        self.bytes = bytearray()

    def pad(self, size):
        self.bytes += bytes(-len(self.bytes) % size)

    def put(self, kind, value):
        self.pad(ALIGNMENT[kind[0]])
        if kind[0] in FIXED:
            self.bytes += struct.pack("<" + FIXED[kind[0]][0], value)
        elif kind in "so":
            raw = value if isinstance(value, bytes) else value.encode()
            self.bytes += struct.pack("<I", len(raw)) + raw + b"\0"
        elif kind == "g":
            self.bytes += bytes([len(value)]) + value.encode() + b"\0"
        elif kind == "v":
            self.put("g", value[0])
            self.put(value[0], value[1])
        elif kind[0] == "a":
            self.put_array(kind[1:], value)
        else:
            self.put_all(kind[1:-1], value)

    def put_array(self, kind, values):
        place = len(self.bytes)
        self.bytes += bytes(4)
        self.pad(ALIGNMENT[kind[0]])
        start = len(self.bytes)
        for value in values:
            self.put(kind, value)
        struct.pack_into("<I", self.bytes, place, len(self.bytes) - start)

    def put_all(self, signature, values):
        for kind, value in zip(types(signature), values, strict=True):
            self.put(kind, value)


class Reader:
    def __init__(self, raw):
        self.raw, self.place = raw, 0

    def pad(self, size):
        self.place += -self.place % size

    def get(self, kind):
        self.pad(ALIGNMENT[kind[0]])
        if kind[0] in FIXED:
            code, size = FIXED[kind[0]]
            self.place += size
            return struct.unpack_from("<" + code, self.raw, self.place - size)[0]
        if kind in "sog":
            size = self.get("y" if kind == "g" else "u")
            self.place += size + 1
            return self.raw[self.place - size - 1:self.place - 1].decode()
        if kind == "v":
            return self.get(self.get("g"))
        if kind[0] == "a":
            return self.get_array(kind[1:])
        return [self.get(each) for each in types(kind[1:-1])]

    def get_array(self, kind):
        size = self.get("u")
        self.pad(ALIGNMENT[kind[0]])
        end, values = self.place + size, []
        while self.place < end:
            values.append(self.get(kind))
        return dict(values) if kind[0] == "{" else values


def call_message(serial, member, signature="", values=(), *, interface=MANAGER, destination=None, path="/org/vigil1",
                 fds=0, body=None):
    """`body`: raw bytes instead of `values`; `fds`: how many the header promises."""
    if body is None:
        writer = Writer()
        writer.put_all(signature, values)
        body = bytes(writer.bytes)
    fields = [(PATH, ("o", path)), (MEMBER, ("s", member))]
    fields += [(INTERFACE, ("s", interface))] if interface else []
    fields += [(DESTINATION, ("s", destination))] if destination else []
    fields += [(SIGNATURE, ("g", signature))] if signature else []
    fields += [(UNIX_FDS, ("u", fds))] if fds else []
    header = Writer()
    header.put_all("yyyyuua(yv)", [ord("l"), CALL, 0, 1, len(body), serial, fields])
    header.pad(8)
    return bytes(header.bytes) + body


class Connection:
    """`uid`: who the peer is to the kernel, and who it says it is."""

    def __init__(self, path, *, uid=0, destination=None, timeout=20):
        self.destination, self.serial = destination, 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        self.rest = b""
        self.replies = {}
        try:
            os.seteuid(uid)
            self.socket.connect(path)
        except BaseException:
            self.socket.close()
            raise
        finally:
            os.seteuid(0)
        self.uid = uid

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def line(self):
        while b"\r\n" not in self.rest:
            self.more()
        line, self.rest = self.rest.split(b"\r\n", 1)
        return line

    def more(self):
        raw = self.socket.recv(65536)
        if not raw:
            raise EOFError
        self.rest += raw

    def greet(self):
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(self.uid).encode().hex().encode() + b"\r\n")
        assert self.line().startswith(b"OK ")
        self.socket.sendall(b"NEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
        assert self.line() == b"AGREE_UNIX_FD"
        if self.destination:
            self.finish(self.send("Hello", interface="org.freedesktop.DBus", destination="org.freedesktop.DBus",
                                  path="/org/freedesktop/DBus"))
        return self

    def send(self, member, signature="", *values, fds=(), **options):
        """Returns the serial for finish()."""
        self.serial += 1
        options = {"destination": self.destination, "fds": len(fds), **options}
        raw = call_message(self.serial, member, signature, values, **options)
        self.send_raw(raw, fds)
        return self.serial

    def send_raw(self, raw, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.socket.sendmsg([raw], rights)
        self.socket.sendall(raw[sent:])

    def finish(self, serial):
        while serial not in self.replies:
            self.read_message()
        kind, fields, values = self.replies.pop(serial)
        if kind == ERROR:
            raise BusError(fields[ERROR_NAME], values[0] if values else "")
        return values

    def call(self, member, signature="", *values, **options):
        return self.finish(self.send(member, signature, *values, **options))

    def read_message(self):
        while len(self.rest) < 16:
            self.more()
        body_size, _, fields_size = struct.unpack_from("<III", self.rest, 4)
        header_size = (16 + fields_size + 7) & ~7
        while len(self.rest) < header_size + body_size:
            self.more()
        raw, self.rest = self.rest[:header_size + body_size], self.rest[header_size + body_size:]
        header = Reader(raw[:header_size])
        _, kind, _, _, _, _, pairs = [header.get(each) for each in ("y", "y", "y", "y", "u", "u", "a(yv)")]
        fields = dict(pairs)
        body = Reader(raw[header_size:])
        values = [body.get(each) for each in types(fields.get(SIGNATURE, ""))]
        if REPLY_SERIAL in fields:
            self.replies[fields[REPLY_SERIAL]] = (kind, fields, values)
