"""Packet rules and queueing disciplines of ours inside containers' network namespaces."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from shakedown.errors import GuardError
from shakedown.guard.undo.base import Operation

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = ["REMOVE_RULES", "RulesRemove", "remove_rules"]

# Lists every rule whose comment is the tag and deletes it by its own text: nothing else is touched, nothing is flushed.
# Then the discipline with our handle, if there is one: `del` with a handle fails where the root has another.
# Ends with 1 when one is left, and with 3 when no table could be looked at.
REMOVE_RULES = r"""
tag="$1"; handle="$2"; left=0; looked=0
ours() { "$1-save" -t "$2" 2>/dev/null | grep '^-A' | sed 's/$/ /' |
         grep -F -e " --comment $tag " -e " --comment \"$tag\" "; }
for family in iptables ip6tables; do for flavour in legacy nft; do
  tool="$family-$flavour"
  for table in raw mangle nat filter; do
    "$tool-save" -t "$table" >/dev/null 2>&1 || continue
    looked=1
    ours "$tool" "$table" | sed 's/^-A/-D/' |
      while IFS= read -r rule; do printf '%s\n' "$rule" | xargs "$tool" -w -t "$table" 2>/dev/null; done
    ours "$tool" "$table" >/dev/null && left=1
  done
done; done
if [ -n "$handle" ]; then
  for device in $(ip -o link show | sed 's/^[0-9]*: *\([^:@]*\).*/\1/'); do
    root() { tc qdisc show dev "$device" 2>/dev/null | grep -q "^qdisc [a-z]* $handle root"; }
    root && tc qdisc del dev "$device" root handle "$handle" 2>/dev/null
    root && left=1
  done
fi
[ "$looked" = 1 ] || exit 3
exit "$left"
"""
_NOT_LOOKED = (3, 126, 127)


class RulesRemove(Operation):
    """Delete the packet rules that carry a tag, inside a container's network namespace.

    Attributes:
        others: more containers, with the same tag.
        qdisc: the handle of a queueing discipline of ours (`5d17:`) at the root of interfaces; one with another handle
            is somebody else's.
    """

    op: Literal["rules-remove"] = "rules-remove"
    container: str
    tag: str
    image: str
    others: list[str] = Field(default=[])
    qdisc: str = ""


def remove_rules(undo: RulesRemove, container: "Container", client: "DockerClient") -> str:
    """Remove them through a helper of our own beside the container."""
    if container.status not in ("running", "paused"):
        return f"container {container.name} has no network namespace: its rules are gone with it"
    from docker.errors import APIError, ContainerError, ImageNotFound  # noqa: PLC0415 - see engine.find_engine

    try:
        client.images.get(undo.image)  # or `run` would go looking for it in a registry
        client.containers.run(
            undo.image,
            entrypoint=["sh", "-c", REMOVE_RULES, "rules"],
            command=[undo.tag, undo.qdisc],
            network_mode=f"container:{container.id}",
            cap_add=["NET_ADMIN", "NET_RAW"],
            labels={key: value for key, value in container.labels.items() if key.startswith("shakedown.")},
            remove=True,
        )
    except ImageNotFound as error:
        raise GuardError(f"rules in {container.name}: the image {undo.image} that would remove them is gone") from error
    except ContainerError as error:
        if error.exit_status in _NOT_LOOKED:
            raise GuardError(f"rules in {container.name} could not be looked at with {undo.image}") from error
        raise GuardError(f"rules tagged {undo.tag} are still in {container.name}: {error}") from error
    except APIError:
        container.reload()
        if container.status not in ("running", "paused"):
            return f"container {container.name} ended: its rules are gone with it"
        raise
    return f"rules tagged {undo.tag} removed from {container.name}"
