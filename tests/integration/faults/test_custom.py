"""Faults of the user's own, for real: in a container, on this machine, as a class; also those that hang, lie or fail."""

import re
import threading
import time
from pathlib import Path

import psutil
import pytest
import yaml
from pydantic import TypeAdapter

from shakedown.errors import GuardError
from shakedown.faults import build_fault
from shakedown.guard import carry_out
from shakedown.guard.journal import read_journal
from shakedown.plan.faults import FaultPlan
from shakedown.plan.faults.custom import CustomCommand, CustomPython
from tests.conftest import ROOT
from tests.integration.faults.harness import context_of, inject

pytestmark = pytest.mark.integration
DOC = (ROOT / "docs" / "custom-faults.md").read_text(encoding="utf-8")
FAULT: TypeAdapter[FaultPlan] = TypeAdapter(FaultPlan)
FLAG = {"inject": "touch flag", "revert": "rm -f flag", "proof": "test -e flag"}


def example(name: str) -> FaultPlan:
    """A fault as the documentation has it."""
    found = re.search(rf"<!-- example: {name} -->\n```yaml\n(.*?)```", DOC, re.DOTALL)
    return FAULT.validate_python(yaml.safe_load(found[1]))


def whole(record) -> None:
    """The fault took effect, was taken back, and nothing went wrong."""
    assert record.refused is None, record.refused
    assert record.error is None, record.error
    assert record.effect.held, record.effect
    assert record.gone.held, record.gone


@pytest.fixture
def box(make_system):
    """A container with a queue's folder in it."""
    return make_system({
        "worker": {"image": "debian:bookworm-slim", "command": ["sh", "-c", "mkdir -p /srv/queue; sleep 300"],
                   "ports": {"http": 8000}, "stop_grace": "200ms"},
    })  # fmt: skip


@pytest.fixture
def nowhere(make_system, tmp_path):
    """No service at all that is started: the plan's folder is all there is."""
    return make_system({"there": {"url": "http://127.0.0.1:9"}})


def inside(box, command: str) -> int:
    """The exit code of a command in the container."""
    return box.runner("worker").run_inside(["sh", "-c", command])[0]


# ------------------------------------------------------------------------------------------------------- the documentation
def test_the_documented_command_in_a_container(box):
    """The queue's folder is away while it lasts, and back afterwards; the proof's words are the evidence."""
    record, found = inject(box, example("command"), during=lambda: inside(box, "test -d /srv/queue"))
    whole(record)
    assert found == [1]
    assert record.effect.evidence == "the queue's folder is away"
    assert inside(box, "test -d /srv/queue") == 0


def test_the_documented_command_on_this_machine(nowhere, tmp_path):
    """The flag is in the plan's folder while it lasts, and not afterwards."""
    record, found = inject(nowhere, example("host"), during=(tmp_path / "maintenance.flag").exists)
    whole(record)
    assert found == [True]
    assert not (tmp_path / "maintenance.flag").exists()


def test_the_documented_class(nowhere, tmp_path):
    """Three files asked, three counted, none left; another process can take it back, twice at once."""
    code = re.search(r"<!-- file: my_faults.py -->\n```python\n(.*?)```", DOC, re.DOTALL)[1]
    (tmp_path / "my_faults.py").write_text(code, encoding="utf-8")
    record, found = inject(nowhere, example("python"), during=lambda: len(list((tmp_path / "inbox").iterdir())))
    whole(record)
    assert found == [3]
    assert (record.effect.asked, record.effect.measured, record.effect.unit) == (3, 3, "files")
    fault = build_fault(example("python"), context_of(nowhere))
    fault.check()
    nowhere.journal.intend("fault", "stale files", fault.undo())
    fault.inject(time.time() + 60)
    assert fault.effect().held
    intent = read_journal(nowhere.journal.path).intents[0]
    threads = [threading.Thread(target=carry_out, args=(intent.undo, None)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    nowhere.journal.strike(intent.id)
    assert fault.gone().held


# --------------------------------------------------------------------------------------------------------------- honesty
def test_a_proof_that_says_yes_too_early_is_refused(nowhere):
    """It would prove nothing, so nothing is injected."""
    record, _ = inject(nowhere, CustomCommand(**{**FLAG, "proof": "true"}))
    assert "would prove nothing" in record.refused
    assert record.applied_at is None


def test_a_proof_that_cannot_be_run_proves_nothing(nowhere):
    """A misspelt command is an error, neither yes nor no."""
    record, _ = inject(nowhere, CustomCommand(**{**FLAG, "proof": "tset -e flag"}))
    assert "neither 0 (yes) nor 1 (no)" in record.refused


def test_an_injection_that_does_nothing_is_not_proved(nowhere):
    """The proof never says yes: the effect is not held."""
    record, _ = inject(nowhere, CustomCommand(**{**FLAG, "inject": "true"}), hold=1)
    assert not record.effect.held
    assert record.gone.held


def test_an_injection_that_fails_is_reverted(nowhere, tmp_path):
    """Half done and failed: the revert runs, and the record says why."""
    record, _ = inject(nowhere, CustomCommand(**{**FLAG, "inject": "touch flag; echo no luck; exit 3"}), hold=1)
    assert "no luck" in record.error
    assert record.applied_at is None
    assert not (tmp_path / "flag").exists()


def test_a_revert_that_reverts_nothing_is_an_error(nowhere, tmp_path):
    """Its proof still says yes: not gone, never a pass, and the undo stays written down."""
    fault = build_fault(CustomCommand(**{**FLAG, "revert": "true"}), context_of(nowhere))
    fault.check()
    fault.inject(time.time() + 60)
    fault.revert()
    assert not fault.gone().held
    (tmp_path / "flag").unlink()


@pytest.mark.parametrize("where", ["host", "container"])
def test_a_step_that_hangs_is_killed_and_reverted(box, where):
    """With all that it started; the revert runs, and nothing is left."""
    plan = CustomCommand(
        target="worker", run_on=where, inject="touch /tmp/shakedown-hangs; sleep 4321 & sleep 4321",
        revert="rm -f /tmp/shakedown-hangs", proof="test -e /tmp/shakedown-hangs", timeout=1,
    )  # fmt: skip
    record, _ = inject(box, plan, hold=1)
    assert "did not end within 1 s" in record.error
    assert record.gone.held
    for _ in range(50):
        left = [one for one in psutil.process_iter(["cmdline"]) if "4321" in (one.info["cmdline"] or [])]
        if not left:
            break
        time.sleep(0.1)
    assert left == []


def test_what_a_step_leaves_running_does_not_hold_it_up(nowhere, tmp_path):
    """An injection that starts a program in the background ends at once; its revert ends the program."""
    plan = CustomCommand(
        inject="sleep 4322 & echo $! > pid", revert="test ! -e pid || { kill $(cat pid); rm pid; }",
        proof="test -e pid && kill -0 $(cat pid)",
    )  # fmt: skip
    record, _ = inject(nowhere, plan, hold=1)
    whole(record)
    assert record.applied_at - record.asked_at < 3


def test_a_container_that_is_down_still_needs_its_undo(box, engine):
    """Killed in the middle: the undo fails until it runs again, and then works."""
    fault = build_fault(example("command"), context_of(box))
    fault.check()
    undo = fault.undo()
    fault.inject(time.time() + 60)
    container = engine.containers.get(box.handle("worker").container)
    container.kill()
    with pytest.raises(GuardError, match="waits until it runs again"):
        carry_out(undo, engine)
    container.start()
    carry_out(undo, engine)
    carry_out(undo, engine)
    assert fault.gone().held


def test_what_a_command_in_a_container_is_given(box):
    """Environment, folder and user are the same in every step, the undo included."""
    look = 'test "$WORD" = "a b" && test "$(pwd)" = /srv && test "$(id -un)" = nobody'
    plan = CustomCommand(
        target="worker", environment={"WORD": "a b"}, cwd="/srv", user="nobody", inject=f"{look} && touch /tmp/flag",
        revert=f"{look} && rm -f /tmp/flag", proof="test -e /tmp/flag",
    )  # fmt: skip
    whole(inject(box, plan, hold=1)[0])


def test_what_a_command_on_this_machine_is_given(box, tmp_path):
    """The services' addresses and the target's container, in the undo too."""
    (tmp_path / "sub").mkdir()
    look = 'test -n "$SHAKEDOWN_WORKER_HTTP" && test "$(basename "$(pwd)")" = sub && test "$SHAKEDOWN_CONTAINER" = ID'
    look = look.replace("ID", box.handle("worker").container)
    plan = CustomCommand(
        target="worker", run_on="host", cwd="sub", inject=f'{look} && test "$SHAKEDOWN_DEADLINE" -gt 0 && touch flag',
        revert=f"{look} && rm -f flag", proof="test -e flag",
    )  # fmt: skip
    whole(inject(box, plan, hold=1)[0])


# ------------------------------------------------------------------------------------------------------------- classes
CLASS = """
import time, pathlib
class Fault:
    def __init__(self, given):
        self.given = given
        self.flag = pathlib.Path("flag")
    def inject(self): {inject}
    def revert(self): self.flag.unlink(missing_ok=True)
    def proof(self): {proof}
"""


def write(folder: Path, inject: str = "self.flag.touch()", proof: str = "return self.flag.exists()") -> CustomPython:
    """A module with a class."""
    (folder / "own.py").write_text(CLASS.replace("{inject}", inject).replace("{proof}", proof), encoding="utf-8")
    return CustomPython(run="own:Fault", timeout=2)


def test_a_class_that_fails_says_where(nowhere, tmp_path):
    """The exception, the file and the line; what it had done is reverted."""
    record, _ = inject(nowhere, write(tmp_path, inject="self.flag.touch(); raise ValueError('no luck')"), hold=1)
    assert "ValueError: no luck (own.py:7)" in record.error
    assert not (tmp_path / "flag").exists()


def test_a_class_that_hangs_is_ended(nowhere, tmp_path):
    """It ends by itself when its time is over, whoever watches."""
    record, _ = inject(nowhere, write(tmp_path, inject="self.flag.touch(); time.sleep(60)"), hold=1)
    assert "did not end within 2 s" in record.error
    assert record.gone.held


@pytest.mark.parametrize(
    ("proof", "words"), [("return 'yes'", "must return True, False or a Proof"), ("return 1 / 0", "ZeroDivisionError")]
)
def test_a_class_whose_proof_is_none_is_refused(nowhere, tmp_path, proof, words):
    """Neither yes nor no: nothing is injected."""
    record, _ = inject(nowhere, write(tmp_path, proof=proof))
    assert words in record.refused


def test_a_module_that_is_not_there_is_refused(nowhere):
    """The refusal names the folder."""
    record, _ = inject(nowhere, CustomPython(run="nobody:Fault"))
    assert "no module `nobody`" in record.refused
