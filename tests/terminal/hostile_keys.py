"""What is typed, pasted or sent at a lock screen that is no answer; also for the tests of booted hosts."""

HOSTILE = [
    b"\x03", b"\x1c", b"\x1a", b"\x13", b"\x04", b"\x00", b"\r\r", b"\x1b[A\x1bOP", b"\x1b[M !!",
    b"\x1b[200~secret\r\x1b[201~", b"one\rsecret\r", b"p" * (1 << 20) + b"\r", b"x" * 600 + b"\r",
    b"\x9b200~" + b"secret\r" * (1 << 17) + b"\x9b201~\r", b"\x9bA\xc2\x9dx\xc2\x9c\r",
]
