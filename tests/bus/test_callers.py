"""Who may call what: the table in daemon/bus/methods.cpp, called by everybody it does not name."""

import pytest

from daemon import DAEMON, LOGIN, NOBODY, Leader, eventually, login, refused
from dbus_wire import MANAGER, SESSION, STEPUP, BusError
from one_time_code import QUESTION, enrolled, request

DENIED = "org.vigil1.Error.Denied"
ELSEWHERE = "f" * 32
PROOF = ("totp", "123456", False, bytes(16))
QUESTION_AND_PROOF = "h" + QUESTION + "ssbay"
COMMAND, ID = "ayayayaaybbbay", (b"/usr/bin/id", b"/usr/bin/id", b"/usr/bin/id", [b"-u"], False, True, False, b"/")
# Every method with arguments that are right; the first argument {} names a session, [] a factor.
METHODS = [
    (MANAGER, "Reserve", "h" + LOGIN, (0, login())), (MANAGER, "Prepare", "h", (0,)),
    (MANAGER, "Confirm", "h" + LOGIN, (0, login())), (MANAGER, "Release", "h", (0,)),
    (MANAGER, "Elevated", "hss", (0, "sudo", "root")),
    (STEPUP, "Ask", "h" + QUESTION, (0, *request())), (STEPUP, "Prove", QUESTION_AND_PROOF, (0, *request(), *PROOF)),
    (STEPUP, "AskCommand", "h" + QUESTION + COMMAND, (0, *request(), *ID)),
    (STEPUP, "ProveCommand", "h" + QUESTION + COMMAND + "ssbay", (0, *request(), *ID, *PROOF)),
    (STEPUP, "AskLogin", "h" + QUESTION + "s", (0, 2, *request()[1:], "")),
    (STEPUP, "ProveLogin", "h" + QUESTION + "sssbay", (0, 2, *request()[1:], "", *PROOF)),
    (STEPUP, "Challenge", "h" + QUESTION, (0, *request())),
    (STEPUP, "ChallengeCommand", "h" + QUESTION + COMMAND, (0, *request(), *ID)),
    (STEPUP, "Request", "h" + QUESTION + "s", (0, *request(), "why")),
    (STEPUP, "RequestCommand", "h" + QUESTION + COMMAND + "s", (0, *request(), *ID, "why")),
    (STEPUP, "Await", "hs", (0, "{}")),
    (MANAGER, "LockInfo", "ss", ("{}", "pts/0")), (MANAGER, "Unlocked", "sss", ("{}", "pts/0", "password")),
    (MANAGER, "UnlockFailed", "ss", ("{}", "pts/0")),
    (MANAGER, "ScreenSeen", "ssss", ("{}", "pts/0", "main", "shown")), (MANAGER, "Show", "s", ("{}",)),
    (MANAGER, "Lock", "ss", ("{}", "")), (MANAGER, "Unlock", "ss", ("{}", "")), (MANAGER, "Terminate", "ss", ("{}", "")),
    (MANAGER, "LockForSleep", "", ()), (MANAGER, "Rehearse", "t", (600,)), (MANAGER, "ConfirmRehearsal", "t", (0,)),
    (MANAGER, "Examine", "", ()), (MANAGER, "Reload", "", ()), (MANAGER, "EnrollTotp", "ssss", ("nobody", "phone", "totp", "")),
    (MANAGER, "RenewRecoveryCodes", "ss", ("nobody", "")), (MANAGER, "EnrollFinish", "ss", ("[]", "123456")), (MANAGER, "Factors", "s", ("nobody",)),
    (MANAGER, "EnrollKey", "sss", ("nobody", "", "")), (MANAGER, "EnrollKeyFinish", "sss", ("[]", "key", "AAAA")),
    (MANAGER, "KeyChallenge", "s", ("nobody",)),
    (MANAGER, "Forget", "ss", ("[]", "")), (MANAGER, "MakeTicket", "st", ("nobody", 3600)), (MANAGER, "Revoke", "s", ("{}",)),
    (MANAGER, "AllGrants", "", ()),
    (MANAGER, "Block", "sst", ("daemon", "why", 0)), (MANAGER, "Unblock", "s", ("daemon",)), (MANAGER, "Blocks", "", ()),
    (MANAGER, "FactorsKey", "", ()), (MANAGER, "Rekey", "hs", (0, "vigil.key.2")),
    # Called on the session's object.
    (SESSION, "Show", "", ()), (SESSION, "Lock", "s", ("",)), (SESSION, "Unlock", "s", ("",)),
    (SESSION, "Terminate", "s", ("",)),
]
NAMES = [f"{interface.rsplit('.', 1)[1]}.{name}" for interface, name, _, _ in METHODS]
NOT_YOURS = "There is no such thing, or it is not yours."
FOR_ROOT = "That is for root alone."
FOR_OPERATORS = "Other people's grants are for root, and whom polkit lets."
# Of these the core says whose each thing is (tests/unit/test_core_proofs.cpp).
OPEN_TO_ALL = {"List", "Grants", "Status", "Requests", "Approve", "Deny"}
OWNERS = {"Show", "Lock", "Terminate", "EnrollTotp", "RenewRecoveryCodes", "EnrollFinish", "EnrollKey", "EnrollKeyFinish",
          "KeyChallenge", "Factors", "Revoke", "Forget", "MakeTicket"}
# Of these there is none here: a grant needs a session of logind's (tests/host/test_grants.py).
OF_NONE = {"Revoke"}
# Root's, and whom polkit lets, which is not on these brokers.
OF_OPERATORS = {"MakeTicket", "AllGrants"}


def words_for_others(method):
    return NOT_YOURS if method[1] in OWNERS else FOR_OPERATORS if method[1] == "AllGrants" else FOR_ROOT


POLICY = "version: 1\nsessions:\n  - {name: everyone, max_sessions: {user: 3, when_reached: deny}}\n" \
         "step_up:\n  - {match: {services: [sudo]}, require: [totp]}\n"


def call_as(connection, method, session, factor):
    """Without a descriptor: the broker brings none."""
    interface, member, signature, values = method
    values = [session if each == "{}" else factor if each == "[]" else each for each in values]
    path = {"path": f"/org/vigil1/session/{session}"} if interface == SESSION else {}
    return connection.call(member, signature, *values, interface=interface, **path)


def test_the_table_is_whole(broker):
    """A method that is added comes to be here too."""
    eventually(broker.owned)
    with broker.connect() as client:
        seen = "".join(client.call("Introspect", interface="org.freedesktop.DBus.Introspectable", path=path)[0]
                       for path in ("/org/vigil1", f"/org/vigil1/session/{ELSEWHERE}"))
    members = {line.split('"')[1] for line in seen.splitlines() if "<method " in line}
    members -= {"Ping", "GetMachineId", "Introspect", "Get", "GetAll", "Set"}
    assert members == {name for _, name, _, _ in METHODS} | OPEN_TO_ALL


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_another_uid_is_refused_and_learns_nothing(broker, vigild, method):
    leader, session = vigild.open()
    factor = enrolled(vigild, "nobody").id
    before = vigild.sessions(), vigild.call("Factors", "s", ""), vigild.status()
    with broker.connect(DAEMON) as other:
        there = refused(call_as, other, method, session, factor)
        assert there == (DENIED, words_for_others(method))
        # The same words for what is not there.
        assert refused(call_as, other, method, ELSEWHERE, ELSEWHERE) == there
        if method[0] != SESSION:  # no path of an object
            assert refused(call_as, other, method, "", "no id") == there
    assert (vigild.sessions(), vigild.call("Factors", "s", ""), vigild.status()) == before
    assert leader.process.poll() is None


@pytest.mark.parametrize("method", METHODS, ids=NAMES)
def test_the_owner_may_what_the_table_says_and_no_more(broker, vigild, method):
    _, session = vigild.open()
    factor = enrolled(vigild, "nobody").id
    with broker.connect(NOBODY) as owner:
        try:
            call_as(owner, method, session, factor)
            denied = None
        except BusError as error:
            denied = error.text if error.name == DENIED else None
    if method[1] in OF_NONE | OF_OPERATORS:
        assert denied == words_for_others(method)
    elif method[1] in OWNERS:
        assert denied not in (FOR_ROOT, NOT_YOURS)
    else:
        assert denied == FOR_ROOT


@pytest.mark.parametrize("name", ["root", "nobody", "no-such-user", "games", "daemon\x1b[2J", "0", "x" * 4096])
def test_names_of_others_are_all_the_same(broker, name):
    with broker.connect(DAEMON) as other:
        for member, signature, rest in (("Factors", "s", ()), ("KeyChallenge", "s", ()), ("EnrollTotp", "ssss", ("phone", "totp", "123456"))):
            expected = refused(other.call, member, signature, "root", *rest)
            assert expected[0] == DENIED
            assert refused(other.call, member, signature, name, *rest) == expected


def test_a_list_holds_ones_own_alone(broker, vigild):
    _, nobodys = vigild.open()
    _, daemons = vigild.open(login("daemon", DAEMON))
    vigild.open(login("root", 0))
    with broker.connect(NOBODY) as first, broker.connect(DAEMON) as second, broker.connect() as root:
        assert [each["id"] for each in first.call("List")[0]] == [nobodys]
        assert [each["id"] for each in second.call("List")[0]] == [daemons]
        assert len(root.call("List")[0]) == 3
        assert first.call("Show", "s", nobodys)[0]["user"] == "nobody"


def test_a_sessions_object_is_the_session(vigild):
    vigild.start()
    _, session = vigild.open()
    with vigild.connect() as root:
        path = f"/org/vigil1/session/{session}"
        assert root.call("Show", interface=SESSION, path=path)[0]["id"] == session
        assert refused(root.call, "Lock", "s", "", interface=SESSION, path=path)[1].startswith("It cannot be locked: ")
        assert refused(root.call, "Show", interface=SESSION, path=f"/org/vigil1/session/{ELSEWHERE}")[0] == \
            "org.vigil1.Error.NotFound"
        for path in ("/org/vigil1/session", "/org/vigil1/session/1", f"/org/vigil1/session/{session}/x", "/org/vigil1"):
            assert refused(root.call, "Show", interface=SESSION, path=path)[0].startswith("org.freedesktop.DBus.Error.")
        assert refused(root.call, "List", path=f"/org/vigil1/session/{session}")[0].startswith("org.freedesktop.DBus.Error.")


def test_status_quotes_the_broken_policy_to_root_alone(broker, vigild):
    vigild.write_policy("version: 1\nsecret: words\n")
    assert "secret" in vigild.call("Reload")[0]
    with broker.connect(NOBODY) as user, broker.connect() as root:
        assert user.call("Status")[0]["policy_error"] == "see the journal"
        assert "secret" in root.call("Status")[0]["policy_error"]


def test_the_broker_brings_vigild_no_descriptor(broker, vigild):
    """To close a file of a file system of one's own is to wait for its owner; root's login path is the other socket."""
    for uid, member in ((NOBODY, "List"), (NOBODY, "Nothing"), (0, "Release")):
        leader = vigild.leader()
        with broker.connect(uid) as caller:
            assert refused(caller.call, member, "h", 0, fds=[leader.pidfd])[0] == "org.freedesktop.DBus.Error.NotSupported"
            assert caller.call("List") == [[]]
    vigild.answers_logins()


def test_the_shipped_bus_policy_keeps_users_from_step_up(make_broker, vigild):
    broker = make_broker("shipped", vigild)
    leader = Leader()
    with broker.connect(NOBODY) as user:
        refusal = refused(user.call, "Ask", "h" + QUESTION, 0, *request(), fds=[leader.pidfd], interface=STEPUP)
        assert refusal[0] == "org.freedesktop.DBus.Error.AccessDenied"
        assert user.call("List") == [[]]
        taken = refused(user.call, "RequestName", "su", "org.vigil1", 4, interface="org.freedesktop.DBus",
                        destination="org.freedesktop.DBus", path="/org/freedesktop/DBus")
        assert taken[0] == "org.freedesktop.DBus.Error.AccessDenied"
    leader.close()


def test_the_direct_socket_is_roots(vigild):
    vigild.start()
    vigild.runtime.chmod(0o755)
    fds = vigild.fds()
    with pytest.raises(PermissionError):
        vigild.connect(uid=NOBODY)
    vigild.socket.chmod(0o666)  # as if the mode had not held
    for _ in range(20):
        with pytest.raises((EOFError, ConnectionError)):
            vigild.connect(uid=NOBODY)
    vigild.answers_logins()
    eventually(lambda: vigild.fds() <= fds + 1)  # the store's log, opened by the first write


@pytest.mark.parametrize("member, signature, values, name", [
    ("Show", "s", (ELSEWHERE,), "NotFound"), ("Show", "s", ("no id",), "Invalid"),
    ("Lock", "ss", (ELSEWHERE, ""), "NotFound"), ("Lock", "ss", ("", ""), "Invalid"),
    ("Unlocked", "sss", (ELSEWHERE, "pts/0", "password"), "NotFound"),
    ("Unlocked", "sss", (ELSEWHERE, "pts/0", "charm"), "Invalid"),
    ("EnrollTotp", "ssss", ("no-such-user", "phone", "totp", ""), "NotFound"),
    ("EnrollTotp", "ssss", ("nobody", "x" * 65, "totp", ""), "Invalid"),
    ("EnrollTotp", "ssss", ("nobody", "phone", "totp-7", ""), "Invalid"),
    ("EnrollKey", "sss", ("no-such-user", "", ""), "NotFound"), ("EnrollKey", "sss", ("nobody", "x" * 65, ""), "Invalid"),
    ("EnrollKeyFinish", "sss", ("no id", "key", "AAAA"), "Invalid"), ("KeyChallenge", "s", ("no-such-user",), "NotFound"),
    ("EnrollFinish", "ss", ("no id", "123456"), "NotFound"), ("Forget", "ss", ("no id", ""), "NotFound"),
    ("MakeTicket", "st", ("no-such-user", 3600), "NotFound"), ("MakeTicket", "st", ("nobody", 59), "Invalid"),
    ("MakeTicket", "st", ("nobody", 2**63), "Invalid"), ("MakeTicket", "st", ("", 3600), "Invalid"),
    ("Factors", "s", ("no-such-user",), "NotFound")])
def test_a_failure_has_the_name_of_its_kind(vigild, member, signature, values, name):
    vigild.start()
    assert refused(vigild.call, member, signature, *values)[0] == f"org.vigil1.Error.{name}"


def test_a_bound_that_is_reached_has_a_name(vigild):
    vigild.start()
    with pytest.raises(BusError) as error:
        for _ in range(1000):
            enrolled(vigild, "nobody")
    assert error.value.name == "org.vigil1.Error.TooMany"


def test_what_is_broken_is_told_to_root_alone(make_broker, vigild):
    (vigild.credentials / "vigil.key").unlink()
    broker = make_broker("open", vigild)
    with broker.connect(NOBODY) as user, broker.connect() as root:
        name, words = refused(root.call, "Factors", "s", "")
        assert name == "org.vigil1.Error.Broken" and "vigil.key" in words
        assert refused(user.call, "Factors", "s", "") == (name, "vigild could not do that: see the journal")
        assert refused(user.call, "EnrollTotp", "ssss", "", "phone", "totp", "123456")[0] == name
