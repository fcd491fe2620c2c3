"""redis-failover: a replica becomes the primary."""

import time

from shakedown.errors import FaultError, FaultRefusedError
from shakedown.faults.base import FaultContext
from shakedown.faults.databases.redis import RedisFault
from shakedown.faults.databases.redis_cli import RedisCli
from shakedown.faults.databases.redis_memory import PROBE
from shakedown.guard.undo import Undo
from shakedown.plan.faults.databases import RedisFailover
from shakedown.records.experiment import Proof

__all__ = ["FailoverFault"]

IN_STEP = 5.0  # seconds that the replica gets to have all that the primary has
# In the replica's container: $1 and $2 are the primary's address, as the replica knows it. The primary first: it has what
# was written meanwhile, and would lose it by following a replica that follows nobody new.
_BACK = r"""
limit=; command -v timeout >/dev/null 2>&1 && limit="timeout 5"
says() { printf '%s' "$1" | grep -q OK || { echo "$2: $1"; exit 1; }; }
says "$($limit "$program" -h "$1" -p "$2" ${user:+--user "$user"} REPLICAOF NO ONE)" "$1"
says "$(cli REPLICAOF "$1" "$2")" replica
exit 0
"""


class FailoverFault(RedisFault[RedisFailover]):
    """The fault."""

    mechanism = "REPLICAOF NO ONE on the replica, and REPLICAOF the replica on the old primary"
    proof = "both servers' roles, and a write to each"
    reversal = "REPLICAOF NO ONE on the old primary, then REPLICAOF the old primary on the replica"

    def __init__(self, plan: RedisFailover, context: FaultContext) -> None:
        super().__init__(plan, context)
        self.replica = RedisCli(context, plan, plan.replica)
        self._primary: tuple[str, str] = ("", "")

    @property
    def parameters(self) -> str:
        """For the report."""
        return f"to {self.plan.replica}" + ("" if self.plan.demote else ", the old primary stays one")

    def note(self) -> None:
        """The one is the other's replica, and has all that it has."""
        self.replica.check()
        role = self.redis.info("replication")
        if role["role"] != "master":
            raise FaultRefusedError(f"`{self.plan.target}` is no primary: it follows {role.get('master_host')}")
        theirs = self.replica.info("replication")
        if theirs["role"] == "master":
            raise FaultRefusedError(f"`{self.plan.replica}` is no replica: it follows nobody")
        self._primary = (theirs["master_host"], theirs["master_port"])
        until = time.monotonic() + IN_STEP
        while not self._in_step():
            if time.monotonic() > until:
                raise FaultRefusedError(f"`{self.plan.replica}` does not follow `{self.plan.target}` closely enough")
            time.sleep(0.1)

    def _in_step(self) -> bool:
        """Whether the replica has what the primary had a moment ago, by the number of bytes and the history they share."""
        ours, theirs = self.redis.info("replication"), self.replica.info("replication")
        return (
            theirs.get("master_link_status") == "up"
            and theirs["master_replid"] == ours["master_replid"]
            and int(theirs["slave_repl_offset"]) >= int(ours["master_repl_offset"])
        )

    def undo(self) -> Undo:
        """From the replica's container, both; also when one of them was started anew."""
        return self.replica.undo(self.replica.script(_BACK, *self._primary)).model_copy(update={"started": ""})

    def inject(self, deadline: float) -> None:  # noqa: ARG002 - the journal and the watchdog keep this deadline
        """Promote the replica; the old primary follows it."""
        self.replica.ask("REPLICAOF", "NO", "ONE")
        if self.plan.demote:
            self.redis.ask("REPLICAOF", self._address_of_replica(), str(self.plan.port))

    def _address_of_replica(self) -> str:
        """Where the old primary finds the replica: its address in the run's network."""
        networks = self.context.container(self.plan.replica).attrs["NetworkSettings"]["Networks"]
        name = self.context.system.network
        if name is None or name not in networks:
            raise FaultError(f"`{self.plan.replica}` is not in the run's network")
        return str(networks[name]["IPAddress"])

    def revert(self) -> None:
        """Carry out the undo; either server may have been started anew."""
        super().revert()
        self.replica.look_for_restart()

    def _roles(self) -> str:
        ours, theirs = self.redis.info("replication")["role"], self.replica.info("replication")["role"]
        return f"{self.plan.target} is {ours}, {self.plan.replica} is {theirs}"

    def effect(self) -> Proof:
        """The replica takes writes; the old primary refuses them, where it was to follow."""
        new, old = self.replica.attempt(*PROBE).said, self.redis.attempt(*PROBE).said
        refused = old.startswith("READONLY")
        words = f"{self._roles()}; writes: {self.plan.replica} answers {new}, {self.plan.target} answers {old}"
        return Proof(held=new == "0" and refused == self.plan.demote, evidence=words)

    def still(self) -> Proof | None:
        """The same proof again."""
        return self.effect()

    def gone(self) -> Proof:
        """Roles are as before, the link is up, and the primary takes writes."""
        theirs = self.replica.info("replication")
        follows = (theirs.get("master_host"), theirs.get("master_port")) == self._primary
        up = theirs.get("master_link_status") == "up"
        said = self.redis.attempt(*PROBE).said
        words = (
            f"{self._roles()}, its link is {theirs.get('master_link_status', 'none')}; a write is answered with {said}"
        )
        return Proof(held=follows and up and said == "0", evidence=words)
