"""TLS that ends in the proxy: what clients are shown there, and how the service behind is known.

Everything that can be wrong with the files is found before anything starts: the pair is tried, in memory, on a client that
trusts this certificate alone.
"""

import ssl
from collections.abc import Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shakedown.plan.faults.base import FaultProblem

__all__ = ["Tls"]

_EXPIRED, _NOT_YET = 10, 9  # X509_V_ERR_CERT_HAS_EXPIRED, X509_V_ERR_CERT_NOT_YET_VALID


class Tls(BaseModel):
    """What the proxy needs to read requests on connections that speak TLS. Files are PEM, relative to the plan."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    certificate: str = Field(
        min_length=1, description="file: what clients are shown, and must accept for the service; then its issuers"
    )
    key: str = Field(min_length=1, description="file: the certificate's private key, without a passphrase")
    ca: str | None = Field(
        default=None,
        description="file: authorities that vouch for the service behind, or its own certificate; default: Debian's list",
    )
    verify: bool = Field(default=True, description="whether the service behind must show an accepted certificate")
    server_name: str = Field(
        default="",
        max_length=253,
        description="how the service is called and its certificate must be named; default: as the client called it (SNI)",
    )

    @model_validator(mode="after")
    def _one_way(self) -> "Tls":
        if self.ca is not None and not self.verify:
            raise ValueError("`ca` says whom to trust and `verify: false` that nobody is asked: give one of them")
        return self

    def problems(self, base: Path) -> Iterator[FaultProblem]:
        """What is wrong with the files.

        Args:
            base: where relative paths start.
        """
        texts: dict[str, str] = {}
        for key in ("certificate", "key", "ca"):
            name = getattr(self, key)
            if name is None:
                continue
            try:
                texts[key] = (base / name).read_text(encoding="ascii")
            except FileNotFoundError:
                yield ("tls", key), f"no such file: {name}", None
            except (OSError, UnicodeDecodeError) as error:
                yield ("tls", key), f"{name} cannot be read as PEM: {error}", None
        paired = "certificate" in texts and "key" in texts
        if paired and (wrong := _pair(base / self.certificate, base / self.key, texts)) is not None:
            which, words, hint = wrong
            yield ("tls", which), f"{getattr(self, which)}: {words}", hint
        if "ca" in texts and (unknown := _authorities(texts["ca"])) is not None:
            yield ("tls", "ca"), f"{self.ca}: {unknown}", None


def _pair(certificate: Path, key: Path, texts: dict[str, str]) -> tuple[str, str, str | None] | None:
    """What is wrong with certificate and key: which of them, and in words."""
    if "-----BEGIN CERTIFICATE-----" not in texts["certificate"]:
        return "certificate", "holds no certificate in PEM", None
    if "PRIVATE KEY-----" not in texts["key"]:
        return "key", "holds no private key in PEM", None
    if "ENCRYPTED" in texts["key"]:
        return "key", "is protected by a passphrase", "give a key without one: `openssl pkey -in KEY -out PLAIN`"
    try:
        shown = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        shown.load_cert_chain(certificate, key, password="")
    except (ssl.SSLError, OSError) as error:
        if "MISMATCH" in str(getattr(error, "reason", "")):
            return "key", f"does not belong to the certificate {certificate.name}", None
        return "certificate", f"cannot be used with {key.name}: {_words(error)}", None
    trusting = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trusting.check_hostname = False
    trusting.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    try:
        trusting.load_verify_locations(cadata=texts["certificate"])
        _shake_hands(shown, trusting)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in (_EXPIRED, _NOT_YET):
            late = error.verify_code == _EXPIRED
            return "certificate", "has expired" if late else "is not valid yet", "no client would accept it"
        return "certificate", f"no client would accept it: {error.verify_message}", None
    except (ssl.SSLError, OSError) as error:
        return "certificate", f"does not work: {_words(error)}", None
    return None


def _shake_hands(shown: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    """A handshake in memory.

    Raises:
        ssl.SSLError: it does not come about.
    """
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    server, client = shown.wrap_bio(there, back, server_side=True), trusting.wrap_bio(back, there)
    for _ in range(10):
        waiting = 0
        for side in (client, server):
            try:
                side.do_handshake()
            except ssl.SSLWantReadError:
                waiting += 1
        if not waiting:
            return
    raise ssl.SSLError("the handshake does not end")


def _authorities(text: str) -> str | None:
    """What is wrong with a list of authorities."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=text)
    except (ssl.SSLError, ValueError) as error:
        return f"holds no certificates in PEM: {_words(error)}"
    return None


def _words(error: Exception) -> str:
    return str(getattr(error, "reason", None) or error).partition(" (_ssl")[0].lower().replace("_", " ")
