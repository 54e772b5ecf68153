"""A stand-in for polkitd on a private broker: what it is asked is noted, and answered as the test wants it."""

import struct
import threading

from dbus_wire import (CALL, DESTINATION, ERROR, ERROR_NAME, MEMBER, REPLY_SERIAL, RETURN, SENDER, SIGNATURE, Connection, Reader,
                       Writer, types)

NAME = "org.freedesktop.PolicyKit1"
ANSWERS = {"yes": (True, False, {}), "no": (False, False, {}), "nobody to ask": (False, True, {}),
           "given up": (False, False, {"polkit.dismissed": "true"})}


class Polkit(threading.Thread):
    """`says` is one of ANSWERS; "nonsense", "error"; or "nothing", for ever."""

    def __init__(self, broker, says="yes"):
        super().__init__(daemon=True)
        self.says, self.asked = says, []
        self.came = threading.Event()
        # What happens between the question and the answer.
        self.meanwhile = lambda: None
        self.connection = Connection(broker.socket, timeout=None)
        self.connection.destination = "org.freedesktop.DBus"
        self.connection.greet()
        assert self.connection.call("RequestName", "su", NAME, 0, interface="org.freedesktop.DBus",
                                    path="/org/freedesktop/DBus") == [1]
        self.start()

    def run(self):
        try:
            while True:
                self.serve(*self.next_call())
        except (EOFError, OSError):
            pass

    def next_call(self):
        """(sender, serial, values) of the next call."""
        connection = self.connection
        while True:
            while len(connection.rest) < 16:
                connection.more()
            body_size, serial, fields_size = struct.unpack_from("<III", connection.rest, 4)
            header_size = (16 + fields_size + 7) & ~7
            while len(connection.rest) < header_size + body_size:
                connection.more()
            raw, connection.rest = connection.rest[:header_size + body_size], connection.rest[header_size + body_size:]
            header = Reader(raw[:header_size])
            _, kind, _, _, _, _, pairs = [header.get(each) for each in ("y", "y", "y", "y", "u", "u", "a(yv)")]
            fields = dict(pairs)
            if kind == CALL and fields.get(MEMBER) == "CheckAuthorization":
                body = Reader(raw[header_size:])
                return fields[SENDER], serial, [body.get(each) for each in types(fields[SIGNATURE])]

    def serve(self, sender, serial, values):
        subject, action, _, flags, _ = values
        self.asked.append((subject[0], action, flags))
        self.meanwhile()
        self.came.set()
        if self.says == "nothing":
            return
        body, fields = Writer(), [(REPLY_SERIAL, ("u", serial)), (DESTINATION, ("s", sender))]
        if self.says in ANSWERS:
            authorized, challenge, details = ANSWERS[self.says]
            body.put("(bba{ss})", (authorized, challenge, list(details.items())))
            fields.append((SIGNATURE, ("g", "(bba{ss})")))
        else:
            body.put("s", "no word of polkit's")
            fields.append((SIGNATURE, ("g", "s")))
            if self.says == "error":
                fields.append((ERROR_NAME, ("s", "org.freedesktop.PolicyKit1.Error.Failed")))
        header = Writer()
        self.connection.serial += 1
        header.put_all("yyyyuua(yv)", [ord("l"), ERROR if self.says == "error" else RETURN, 0, 1, len(body.bytes),
                                       self.connection.serial, fields])
        header.pad(8)
        self.connection.send_raw(bytes(header.bytes) + bytes(body.bytes))

    def close(self):
        self.connection.socket.close()
