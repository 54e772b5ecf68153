"""What a peer can do wrong or to do harm: vigild answers or hangs up, stays the same process, and keeps nothing."""

import contextlib
import os
import resource
import signal
import socket
import struct
import time

import pytest

from daemon import Broker, DAEMON, GAMES, LOGIN, NOBODY, RESERVED, broker_config, eventually, login, refused
from dbus_wire import BusError, Connection, call_message

INVALID = "org.vigil1.Error.Invalid"


@pytest.fixture(name="host")
def host_fixture(vigild):
    """At its end it must be what it was at its start, and answer."""
    vigild.start()
    vigild.answers_logins()
    pid, fds = vigild.process.pid, vigild.fds()
    yield vigild
    assert vigild.process.poll() is None and vigild.process.pid == pid
    vigild.answers_logins()
    eventually(lambda: vigild.fds() <= fds)
    assert vigild.sessions() == {}


@pytest.mark.parametrize("member, signature, values", [
    ("Reserve", "", ()), ("Reserve", "s", ("alice",)), ("Reserve", "u" + LOGIN, (0, login())),
    ("Reserve", LOGIN + "u", (login(), 0)), ("Show", "o", ("/org",)), ("Show", "v", (("s", "x"),)), ("List", "s", ("",)),
    ("Lock", "s", ("x",)), ("Show", "ass", (["x"], "x")), ("Nothing", "", ())])
def test_a_wrong_signature_is_an_error(host, member, signature, values):
    with host.connect() as client:
        assert refused(client.call, member, signature, *values)[0].startswith("org.freedesktop.DBus.Error.")
        assert client.call("List") == [[]]


@pytest.mark.parametrize("who", [
    login("x" * 257), login("x" * 2**19), login(service="s" * 65), login(terminal="t" * 65), login(remote="h" * 257),
    login(remote="h" * 2**19), login(groups=["g"] * 1025), login(groups=["g"] * 100_000), login(groups=["g" * 257])],
    ids=["user", "half a MiB of user", "service", "terminal", "host", "half a MiB of host", "groups", "100,000 groups",
         "group"])
def test_what_is_too_long_is_refused(host, who):
    assert refused(host.reserve, host.leader(), who)[0] == INVALID


@pytest.mark.parametrize("who", [login("x" * 2**20), login(remote="h" * 2**20), login(groups=["g" * 200] * 10_000)],
                         ids=["user", "host", "groups"])
def test_who_sends_more_than_a_message_may_be_is_hung_up_on(host, who):
    with pytest.raises((OSError, EOFError)):
        host.reserve(host.leader(), who)


@pytest.mark.parametrize("who", [
    login("a/../b"), login("\x1b[2J\nroot"), login("ünïcödé"), login(""), login("%n%s"), login(remote="%n"),
    login(remote="UNKNOWN"), login(remote="fe80::1%eth0"), login(remote="a\nb"), login(uid=2**32 - 1), login(groups=[""])],
    ids=range(11))
def test_odd_names_are_data(host, who):
    leader = host.leader()
    with contextlib.suppress(BusError):
        host.reserve(leader, who)
        assert all(each["user"] == who[0] for each in host.sessions().values())
    leader.end()
    eventually(lambda: host.sessions() == {})
    assert "\x1b" not in host.words() and "\nroot" not in host.words()


@pytest.mark.parametrize("user", [b"al\0ice", b"\xff\xfe", b"\xc0\x80", b"\xed\xa0\x80", b"alice\xf4\x90\x80\x80"])
def test_text_that_is_none_is_refused(host, user):
    with host.connect() as client, contextlib.suppress(EOFError, ConnectionError, BusError):
        # A broken message breaks the connection; whatever comes, it is no yes.
        answer = client.call("Reserve", "h" + LOGIN, 0, login(user), fds=[host.leader().pidfd])
        raise AssertionError(answer)
    assert host.sessions() == {}


def file_fd():
    return os.open("/proc/version", os.O_RDONLY)


def pipe_fd():
    ends = os.pipe()
    os.close(ends[1])
    return ends[0]


def dead_pidfd():
    child = os.fork()
    if child == 0:
        os._exit(0)
    pidfd = os.pidfd_open(child)
    os.waitpid(child, 0)
    return pidfd


@pytest.mark.parametrize("make", [file_fd, pipe_fd, dead_pidfd, lambda: os.open("/proc/self/fdinfo/0", os.O_RDONLY),
                                  lambda: os.open("/proc/1", os.O_RDONLY), lambda: socket.socket().detach()],
                         ids=["file", "pipe", "dead", "a file that reads like a pidfd's", "folder", "socket"])
@pytest.mark.parametrize("member", ["Reserve", "Prepare", "Confirm", "Release"])
def test_only_the_pidfd_of_a_living_process_stands_for_a_login(host, make, member):
    fd = make()
    values = (0, login()) if member in ("Reserve", "Confirm") else (0,)
    signature = "h" + LOGIN if len(values) == 2 else "h"
    assert refused(host.call, member, signature, *values, fds=[fd])[0] == INVALID
    os.close(fd)


@pytest.mark.parametrize("member", ["Reserve", "Confirm"])
def test_a_login_of_a_process_that_has_ended_is_none_though_its_number_is_taken(host, member):
    leader = host.leader()
    leader.process.kill()
    os.waitid(os.P_PID, leader.process.pid, os.WEXITED | os.WNOWAIT)
    assert refused(host.call, member, "h" + LOGIN, 0, login(), fds=[leader.pidfd])[0] == INVALID
    assert host.sessions() == {}


def test_descriptors_nobody_asked_for_are_closed(host):
    fd = file_fd()
    with host.connect() as client:
        for _ in range(40):
            assert client.call("List", fds=[fd] * 4) == [[]]
            refused(client.call, "Reserve", "h" + LOGIN, 3, login(), fds=[fd] * 4)
        refused(client.call, "Reserve", "h" + LOGIN, 7, login(), fds=[fd])  # an index beyond the last
    os.close(fd)


def test_who_sends_more_descriptors_than_a_message_may_have_is_hung_up_on(host):
    fd = file_fd()
    for count in (5, 250):
        with host.connect() as client, pytest.raises((OSError, EOFError)):
            client.call("List", fds=[fd] * count)
    os.close(fd)


def test_a_call_may_come_with_the_greeting(host):
    """As the module's does, and its descriptor with the first byte of all."""
    leader = host.leader()
    with Connection(str(host.socket)) as client:
        client.send_raw(b"\0AUTH EXTERNAL\r\nDATA\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n" +
                        call_message(1, "Reserve", "h" + LOGIN, (0, login()), fds=1), [leader.pidfd])
        assert [client.line().split()[0] for _ in range(3)] == [b"DATA", b"OK", b"AGREE_UNIX_FD"]
        assert client.finish(1)[0] == RESERVED
    leader.end()
    eventually(lambda: host.sessions() == {})


@pytest.mark.parametrize("greeting", [
    b"\0AUTH EXTERNAL\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n", b"\0NEGOTIATE_UNIX_FD\r\nBEGIN\r\n",
    b"\0AUTH EXTERNAL\r\nCANCEL\r\nBEGIN\r\n", b"AUTH EXTERNAL 30\r\nBEGIN\r\n"])
def test_who_has_not_said_who_he_is_gets_no_answer(host, greeting):
    """Although root alone gets so far: who is asked for an identity and begins without one is no D-Bus peer."""
    with Connection(str(host.socket), timeout=1) as client, pytest.raises((OSError, EOFError)):
        client.send_raw(greeting + call_message(1, "List"))
        client.finish(1)


def test_what_is_left_unread_is_bounded_and_others_are_served(host):
    """A peer that asks and never reads."""
    with host.connect(timeout=20) as deaf, contextlib.suppress(OSError):
        for serial in range(2, 2000):
            deaf.send_raw(call_message(serial, "Status"))
        assert host.call("List") == [[]]


def test_calls_of_one_connection_are_each_answered(host):
    with host.connect() as client:
        serials = [client.send("Status") for _ in range(100)]
        assert all("version" in client.finish(serial)[0] for serial in reversed(serials))


def test_a_message_may_come_byte_by_byte(host):
    with host.connect() as client:
        for byte in call_message(1, "List"):
            client.send_raw(bytes([byte]))
        client.serial = 1
        assert client.finish(1) == [[]]


def test_descriptors_without_a_message_are_closed(host):
    fd = file_fd()
    with host.connect() as client, contextlib.suppress(OSError):
        for _ in range(40):
            client.send_raw(b"l", [fd] * 250)
    os.close(fd)


@pytest.mark.parametrize("raw", [
    b"\0", b"\n" * 10_000, b"GET / HTTP/1.1\r\n\r\n", b"\0AUTH EXTERNAL 30\r\n" + b"x" * 100_000, os.urandom(4096),
    b"\0AUTH ANONYMOUS\r\nBEGIN\r\n" + call_message(1, "List"), b"\0BEGIN\r\n" + call_message(1, "List"),
    b"\0AUTH\r\n" * 10_000, b"\0AUTH EXTERNAL zz\r\nBEGIN\r\n", b"\0AUTH EXTERNAL 31303030\r\nBEGIN\r\n"], ids=range(10))
def test_what_is_no_greeting_gets_no_service(host, raw):
    with Connection(str(host.socket)) as client, contextlib.suppress(OSError):
        client.socket.sendall(raw)
        client.socket.shutdown(socket.SHUT_WR)
        got = b""
        while part := client.socket.recv(65536):
            got += part
        assert b"aa{sv}" not in got


@pytest.mark.parametrize("raw", [
    os.urandom(4096), b"l" * 16, b"l\1\0\1" + b"\xff" * 12, b"B\1\0\1" + struct.pack(">III", 2**27, 1, 0),
    b"l\1\0\1" + struct.pack("<III", 2**31, 1, 2**31), call_message(1, "Show", "s", body=b"\xff\xff\xff\x7f"),
    call_message(1, "List", path="/" + "x/" * 30), call_message(0, "List")], ids=range(8))
def test_what_is_no_message_ends_that_connection_alone(host, raw):
    with host.connect() as other, host.connect() as client:
        with contextlib.suppress(OSError, EOFError, BusError):
            client.send_raw(raw)
            client.socket.shutdown(socket.SHUT_WR)
            while client.socket.recv(65536):
                pass
        assert other.call("List") == [[]]


def test_a_client_that_hangs_up_in_mid_call(host):
    leader = host.leader()
    raw = call_message(1, "Reserve", "h" + LOGIN, (0, login()), fds=1)
    for size in (1, 15, 16, 40, len(raw) - 1, len(raw)):
        with host.connect() as client:
            client.send_raw(raw[:size], [leader.pidfd])
    leader.end()
    eventually(lambda: host.sessions() == {})


def test_a_client_that_never_reads(host):
    with host.connect() as deaf:
        deaf.socket.settimeout(2)
        with contextlib.suppress(OSError):
            for serial in range(1, 20_000):
                deaf.send_raw(call_message(serial, "Status"))
        host.answers_logins()


def test_slow_greetings_hold_nobody_up(host):
    slow = [Connection(str(host.socket)) for _ in range(100)]
    for client in slow:
        client.socket.sendall(b"\0AUTH EX")
    host.answers_logins()
    for client in slow:
        client.socket.close()


def test_five_hundred_at_once_are_all_answered(host):
    leaders = [host.leader() for _ in range(20)]
    clients = [host.connect(timeout=60) for _ in range(500)]
    serials = [client.send("Reserve", "h" + LOGIN, 0, login(), fds=[leaders[n % 20].pidfd])
               for n, client in enumerate(clients)]
    assert all(client.finish(serial)[0] == RESERVED for client, serial in zip(clients, serials))
    assert len(host.sessions()) == 20
    for each in (*clients, *leaders):
        (each.end if each in leaders else each.socket.close)()
    eventually(lambda: host.sessions() == {})


def test_more_connections_than_it_serves_wait_their_turn(host):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 4096), hard))
    held = [Connection(str(host.socket)) for _ in range(1100)]
    late = Connection(str(host.socket), timeout=60)
    for client in held:
        client.socket.close()
    assert late.greet().call("List") == [[]]
    late.socket.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_few_descriptors_cost_a_wait_and_not_the_daemon(host):
    soft = len(os.listdir(f"/proc/{host.process.pid}/fd")) + 12
    resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE, (soft, soft))
    held = [Connection(str(host.socket)) for _ in range(60)]
    for client in held:
        client.socket.close()
    host.answers_logins()


def ticks(process):
    """Of the processor, in 1/100 s."""
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])


def test_a_caller_that_cannot_be_accepted_is_no_busy_loop(host):
    idle = host.fds()
    host.answers_logins()
    eventually(lambda: host.fds() <= idle + 1)  # the store's log stays
    before = resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE)
    taken = {int(fd) for fd in os.listdir(f"/proc/{host.process.pid}/fd")}
    lowest_free = next(fd for fd in range(1024) if fd not in taken)
    resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE, (lowest_free, before[1]))
    with Connection(str(host.socket)) as waiting:
        begin = ticks(host.process)
        time.sleep(1)  # measured over this
        assert ticks(host.process) - begin < 20
        resource.prlimit(host.process.pid, resource.RLIMIT_NOFILE, before)
        assert waiting.greet().call("List") == [[]]


# --- over a broker -----------------------------------------------------------------------------------------------


def test_a_crowd_on_the_broker_keeps_no_login_from_its_answer(make_broker, vigild):
    broker = make_broker("shipped", vigild)
    crowd = [broker.connect(GAMES if n % 2 else DAEMON, timeout=60) for n in range(200)]
    serials = [[client.send("List") for _ in range(20)] for client in crowd]
    vigild.answers_logins()
    assert all(client.finish(each) == [[]] for client, mine in zip(crowd, serials) for each in mine)
    for client in crowd:
        client.socket.close()
    vigild.answers_logins()


def test_a_broker_that_hangs_stops_no_login(make_broker, vigild):
    """Also right after a call came in through it: who calls is the broker's to say."""
    broker = make_broker("shipped", vigild)
    with broker.connect(NOBODY) as user:
        vigild.process.send_signal(signal.SIGSTOP)
        serials = [user.send("Status") for _ in range(3)]
        broker.owned()  # it has passed the calls on
        broker.process.send_signal(signal.SIGSTOP)
        vigild.process.send_signal(signal.SIGCONT)
        leader = vigild.leader()
        with vigild.connect(timeout=2) as login_path:
            assert login_path.call("Reserve", "h" + LOGIN, 0, login(), fds=[leader.pidfd])[0] == RESERVED
        broker.process.send_signal(signal.SIGCONT)
        assert all(user.finish(each)[0]["sessions"] == 1 for each in serials)


def test_a_caller_that_is_gone_before_it_is_known(make_broker, vigild):
    broker = make_broker("shipped", vigild)
    fds = vigild.fds()
    for _ in range(50):
        with broker.connect(NOBODY) as user:
            for _ in range(5):
                user.send("List")
    with broker.connect(NOBODY) as user:
        assert user.call("List") == [[]]
    vigild.answers_logins()
    eventually(lambda: vigild.fds() <= fds + 1)


def test_a_broker_that_goes_comes_back(make_broker, vigild):
    broker = make_broker("shipped", vigild)
    with broker.connect(NOBODY) as user:
        for _ in range(20):
            user.send("List")
        broker.close()
    vigild.answers_logins()
    broker.start()
    eventually(broker.owned)
    with broker.connect(NOBODY) as user:
        assert user.call("List") == [[]]


def test_a_bad_caller_over_the_broker(make_broker, vigild):
    broker = make_broker("open", vigild)
    with broker.connect(NOBODY) as user:
        for who in (login("x" * 2**20), login(groups=["g"] * 50_000)):
            assert refused(user.call, "Reserve", "h" + LOGIN, 0, who)[0] == "org.vigil1.Error.Denied"
        assert refused(user.call, "Show", "s", "x" * 2**20)[0] == "org.vigil1.Error.Denied"
        assert refused(user.call, "Factors", "s", "x" * 2**20)[0].startswith("org.vigil1.Error.")
    vigild.answers_logins()


def take_name(connection):
    return connection.call("RequestName", "su", "org.vigil1", 4, interface="org.freedesktop.DBus",
                           destination="org.freedesktop.DBus", path="/org/freedesktop/DBus")[0]


def test_a_name_that_somebody_else_has_is_asked_for_until_it_is_free(folder, vigild):
    broker = Broker(folder, broker_config("open"))
    vigild.bus_address = broker.address
    try:
        with broker.connect() as squatter:
            assert take_name(squatter) == 1
            vigild.start()
            eventually(lambda: "org.vigil1 cannot be had" in vigild.words())
            assert "somebody else has it" in vigild.words()
            vigild.answers_logins()
            with pytest.raises(AssertionError):  # it has tried again by then, and is not heard again
                eventually(lambda: vigild.words().count("org.vigil1 cannot be had") > 1, patience=3)
        eventually(lambda: "org.vigil1 is ours" in vigild.words())
        with broker.connect(NOBODY) as user:
            assert user.call("List") == [[]]
    finally:
        broker.close()
