"""ssh agents that hold security keys of our own making, forwarded by who logs in."""

import json
import sys

from vigilhost import SOURCE

sys.path.insert(0, str(SOURCE / "tests" / "sk"))

from ssh_agent import SshAgent  # noqa: E402

MIDDLEWARE = SOURCE / "build/tests/sk/security_key.so"


def made_in(folder):
    """What starts agents there, and all that it has started."""
    agents = []

    def make(**how):
        agents.append(SshAgent(folder / f"agent-{len(agents)}", MIDDLEWARE, **how))
        return agents[-1]
    return make, agents


def forwarded(agent):
    return ["-A", "-o", f"IdentityAgent={agent.path}"]


def enrolled(host, agent, key, user):
    """By an operator, whose agent has it; the id."""
    done = host.ssh_run("root", "vigilctl", "enroll", "key", "--key", key.fingerprint, "--json", user, options=forwarded(agent))
    assert done.returncode == 0, done
    told = json.loads(done.stdout)
    assert (told["user"], told["kind"], told["fingerprint"]) == (user, "key", key.fingerprint)
    return told["id"]
