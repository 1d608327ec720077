"""An authority of our own and the certificates that it gives: one per process, short-lived, made
where the platform runs on one machine or in a demonstration. In production one's own authority
gives the same (docs/runbooks/certificates.md).

What a certificate names, it may speak for: `spiffe://orion/<env>/<service>` for every service in
the process, and the DNS names under which others look for it. Both sides of a connection ask for
the other's certificate, so each is good for server and client.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from orion.platform.clock import Clock

CA_DAYS = 3650
LEAF_DAYS = 30
RENEW_AT = 2 / 3  # of a certificate's life
BACKDATE = timedelta(minutes=5)  # clocks differ
CA_FILE, CA_KEY = "ca.pem", "ca.key"
OWN_DOMAIN = ".orion.internal"


@dataclass(frozen=True, slots=True)
class Names:
    """Who a certificate is for. `file`: the name of its files; `spoken`: services and other voices
    that it may speak for; `hosts`: further DNS names and addresses of the machine.
    """

    file: str
    spoken: tuple[str, ...]
    hosts: tuple[str, ...] = ()


def spiffe(env: str, name: str) -> str:
    """The identity of a service, as a certificate writes it; of a dealer for `dealer:NAME`."""
    return f"spiffe://orion/{env}/{name.replace(':', '/')}"


def host_of(env: str, service: str) -> str:
    """The DNS name that stands for a service in certificates, wherever it runs."""
    return f"{service.replace('_', '-').lower()}.{env}{OWN_DOMAIN}"


class Authority:
    """A folder with an authority and what it gave."""

    def __init__(self, folder: Path, env: str, clock: Clock):
        self._folder, self._env, self._clock = folder, env, clock

    def keep(
        self, wanted: Iterable[Names], *, days: int = LEAF_DAYS, anew: bool = False
    ) -> list[str]:
        """Makes what is missing, names others than it should, is of another authority or has less
        than a third of its life left (`anew`: everything). Hosts that a certificate names already
        are kept. Returns the files that were written.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key, certificate, written = self._own()
        for names in wanted:
            found = self._found(names)
            if anew or found is None or not self._is_good(found, names, certificate):
                self._issue(_with_hosts_of(found, names), key, certificate, days)
                written.append(f"{names.file}.pem")
        return written

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock.now() / 1e6, UTC)

    def _own(self) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate, list[str]]:
        """Key and certificate of the authority; of several in the file, which all are trusted, the
        one that fits the key."""
        path = self._folder / CA_KEY
        if path.exists():
            key = serialization.load_pem_private_key(path.read_bytes(), None)
            bundle = x509.load_pem_x509_certificates((self._folder / CA_FILE).read_bytes())
            own = next((c for c in bundle if c.public_key() == key.public_key()), None)
            if own is None or not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError(f"{path} fits no certificate of {CA_FILE}")
            return key, own, []
        key, now = ec.generate_private_key(ec.SECP256R1()), self._now()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"Orion {self._env}")])
        own = (
            _begun(key, name, name, now, CA_DAYS)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(is_ca=True), critical=True)
            .sign(key, hashes.SHA256())
        )
        write_private(self._folder / CA_FILE, own.public_bytes(serialization.Encoding.PEM))
        write_private(path, _pem(key))
        return key, own, [CA_FILE]

    def _found(self, names: Names) -> x509.Certificate | None:
        path = self._folder / f"{names.file}.pem"
        if not path.exists() or not path.with_suffix(".key").exists():
            return None
        return x509.load_pem_x509_certificate(path.read_bytes())

    def _is_good(self, found: x509.Certificate, names: Names, authority: x509.Certificate) -> bool:
        begin, end = found.not_valid_before_utc, found.not_valid_after_utc
        try:
            found.verify_directly_issued_by(authority)
        except Exception:  # another authority's, in whatever way that shows
            return False
        there, wanted = set(_san_of(found)), set(self._san(names))
        spoken = {n for n in there if isinstance(n, x509.UniformResourceIdentifier)}
        is_young = self._now() < begin + (end - begin) * RENEW_AT
        return is_young and wanted <= there and spoken <= wanted

    def _san(self, names: Names) -> x509.SubjectAlternativeName:
        uris = [x509.UniformResourceIdentifier(spiffe(self._env, n)) for n in names.spoken]
        own = [host_of(self._env, n) for n in names.spoken if ":" not in n]
        return x509.SubjectAlternativeName(
            [*uris, *map(_general, dict.fromkeys([*own, *names.hosts]))]
        )

    def _issue(
        self,
        names: Names,
        authority_key: ec.EllipticCurvePrivateKey,
        authority: x509.Certificate,
        days: int,
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names.file[:64])])
        purposes = [ExtendedKeyUsageOID.CLIENT_AUTH]
        if not any(":" in n for n in names.spoken):
            purposes.append(ExtendedKeyUsageOID.SERVER_AUTH)  # a guest only calls
        ski = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
        certificate = (
            _begun(key, name, authority.subject, self._now(), days)
            .add_extension(self._san(names), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ski), critical=False
            )
            .sign(authority_key, hashes.SHA256())
        )
        path = self._folder / f"{names.file}.pem"
        # The key first: who reads between the two sees that they do not fit, and waits.
        write_private(path.with_suffix(".key"), _pem(key))
        write_private(path, certificate.public_bytes(serialization.Encoding.PEM))


def _san_of(certificate: x509.Certificate) -> x509.SubjectAlternativeName:
    return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value


def _with_hosts_of(found: x509.Certificate | None, names: Names) -> Names:
    """Hosts that were once asked for are kept when a certificate is renewed; names that stand for
    services are not."""
    if found is None:
        return names
    there = (n for n in _san_of(found) if not isinstance(n, x509.UniformResourceIdentifier))
    kept = [str(n.value) for n in there if not str(n.value).endswith(OWN_DOMAIN)]
    return replace(names, hosts=tuple(dict.fromkeys([*names.hosts, *kept])))


def expiry_of(pem: bytes) -> datetime:
    """When the first certificate of the file ends. Raises ValueError."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc


def are_pair(certificate: bytes, key: bytes) -> bool:
    """Whether the key is the certificate's. Raises ValueError when one cannot be read."""
    private = serialization.load_pem_private_key(key, None)
    return x509.load_pem_x509_certificate(certificate).public_key() == private.public_key()


def write_private(path: Path, content: bytes) -> None:
    """Writes a file for its owner only, whole or not at all."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    fresh.replace(path)


def _begun(
    key: ec.EllipticCurvePrivateKey, subject: x509.Name, issuer: x509.Name, now: datetime, days: int
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATE)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        encipher_only=False,
        decipher_only=False,
    )


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def needed(groups: Sequence[tuple[str, Sequence[str]]], hosts: Sequence[str]) -> list[Names]:
    """The certificates of processes, each with the services in it."""
    return [Names(p, tuple(dict.fromkeys([p, *services])), tuple(hosts)) for p, services in groups]
