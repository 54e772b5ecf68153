"""Has the machine's virtual consoles for one test run, which all containers share: waits for the others, says so in a
line, and puts all consoles back when its input ends, however the run came to its end."""

import fcntl
import sys

import consoles


def main():
    with open("/run/lock/vigil-test-consoles", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = consoles.front()
        print("ready", flush=True)
        sys.stdin.read()
        consoles.put_back(before)


if __name__ == "__main__":
    main()
