"""Services in a vendor's place as the containers that they are."""

import json
from pathlib import Path
from typing import Any

from shakedown.plan.services import Build, DockerService, ProxyService, StubService, VendorService

__all__ = ["as_container", "scheme_of"]

PROGRAM = Path(__file__).parent / "stub"
_PLAN = "/stub/plan/plan.json"


def scheme_of(service: DockerService) -> str:
    """In which scheme others call it: a stand-in with a certificate answers in TLS alone."""
    tls = (
        service.stub.tls if isinstance(service, StubService)
        else service.proxy.tls if isinstance(service, ProxyService)
        else None
    )  # fmt: skip
    return "http" if tls is None else "https"


def as_container(name: str, service: DockerService, base: Path, run_dir: Path) -> DockerService:
    """The container to start for a service: itself, or our own program with what the plan says of it.

    Args:
        base: where the plan's relative paths start.
        run_dir: the program's instructions are kept in it.
    """
    if not isinstance(service, VendorService):
        return service
    files: dict[str, str] = {}

    def inside(path: str | None) -> str | None:
        if path is None:
            return None
        place = f"/stub/plan/{len(files)}-{Path(path).name}"
        files[place] = str((base / path).resolve())
        return place

    instructions = run_dir / "vendors" / f"{name}.json"
    instructions.parent.mkdir(parents=True, exist_ok=True)
    instructions.write_text(json.dumps(_instructions(service, inside)), encoding="utf-8")
    common = {
        key: getattr(service, key) for key in DockerService.model_fields if key not in ("image", "build", "files")
    }
    return DockerService(
        **{
            **common,
            "build": Build(context=str(PROGRAM)),
            "command": [_PLAN],
            "files": {**files, _PLAN: str(instructions.resolve())},
        }
    )


def _instructions(service: VendorService, inside: Any) -> dict[str, Any]:
    port = service.ports["http"]
    if isinstance(service, StubService):
        stub = service.stub
        routes = [
            {**route.model_dump(mode="json", by_alias=True), "label": route.label, "file": inside(route.file)}
            for route in stub.routes
        ]
        tls = stub.tls
        own: dict[str, Any] = {"kind": "stub", "seed": stub.seed, "routes": routes}
    else:
        assert isinstance(service, ProxyService)  # noqa: S101 - there is no third kind
        tls = service.proxy.tls
        own = {"kind": "proxy", "to": service.proxy.to, "ca": inside(service.proxy.ca)}
    shown = None if tls is None else {"certificate": inside(tls.certificate), "key": inside(tls.key)}
    return {**own, "port": port, "tls": shown}
