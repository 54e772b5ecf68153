"""Codes as another program computes them (RFC 6238), and the questions they answer."""

import base64
import hmac
import os
import struct
import time
import urllib.parse

from daemon import login, NOBODY

QUESTION = "u(suassss)s"
DENIED, ALLOWED, PROVE, NOT_APPLICABLE = range(4)
WRONG, ACCEPTED, NOT_NOW = range(3)


class Code:
    def __init__(self, secret):
        self.key = base64.b32decode(secret + "=" * (-len(secret) % 8))

    def at(self, step):
        digest = hmac.digest(self.key, struct.pack(">Q", step), "sha1")
        place = digest[-1] & 15
        return f"{(struct.unpack_from('>I', digest, place)[0] & 0x7FFFFFFF) % 10**6:06}"

    def now(self, later=0):
        while later < 0 and time.time() % 30 > 27:  # or it could be too old by the time it is read
            time.sleep(0.1)
        return self.at(int(time.time()) // 30 + later)


def enrolled(vigild, user, proof="", call=None):
    """A factor proved with the code of the step before, so that this one's is fresh."""
    call = call or vigild.call
    id_, uri, secret = call("EnrollTotp", "ssss", user, "phone", "totp", proof)
    assert urllib.parse.parse_qs(urllib.parse.urlsplit(uri).query)["secret"] == [secret]
    code = Code(secret)
    assert call("EnrollFinish", "ss", id_, code.now(-1)) == []
    code.id = id_
    return code


def request(user="nobody", uid=NOBODY):
    return 0, login(user, uid, service="sudo", terminal="pts/0", remote=""), ""


def ask(vigild, leader, who=None):
    return vigild.call("Ask", "h" + QUESTION, 0, *(who or request()), fds=[leader.pidfd], interface="org.vigil1.StepUp")


def prove(vigild, leader, code, attempt=None, who=None, factor="totp"):
    return vigild.call("Prove", "h" + QUESTION + "ssbay", 0, *(who or request()), factor, code, False, attempt or os.urandom(16),
                       fds=[leader.pidfd], interface="org.vigil1.StepUp")
