"""The control plane's own authority and keys, made anew for each one with openssl. They are worth nothing elsewhere."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Certificates", "make_certificates"]

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
_DAYS = ("-days", "2")
_SERVICE_NAMES = "DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,IP:127.0.0.1"


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files. A key lies beside its certificate, as `.key`."""

    authority: Path
    server: Path
    admin: Path
    """A client in `system:masters`, who may do anything."""
    accounts: Path
    """Key that signs service account tokens; beside it, as `.pub`, the one that verifies them."""


def make_certificates(folder: Path) -> Certificates:
    folder.mkdir(mode=0o700)
    authority = folder / "authority.crt"
    _openssl("req", "-x509", *_KEY, *_DAYS, "-subj", "/CN=omnipipe-tests", *_out(authority))
    server = _signed(folder, "server", "/CN=kube-apiserver", f"subjectAltName={_SERVICE_NAMES}", authority)
    admin = _signed(folder, "admin", "/O=system:masters/CN=admin", "extendedKeyUsage=clientAuth", authority)
    accounts = folder / "accounts.key"
    _openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-out", accounts)
    _openssl("pkey", "-in", accounts, "-pubout", "-out", accounts.with_suffix(".pub"))
    return Certificates(authority, server, admin, accounts)


def _signed(folder: Path, name: str, subject: str, extension: str, authority: Path) -> Path:
    certificate, request, extensions = (folder / f"{name}{suffix}" for suffix in (".crt", ".csr", ".ext"))
    extensions.write_text(extension + "\n", encoding="utf-8")
    _openssl("req", "-new", *_KEY, "-subj", subject, "-keyout", certificate.with_suffix(".key"), "-out", request)
    by = ("-CA", authority, "-CAkey", authority.with_suffix(".key"), "-CAcreateserial")
    _openssl("x509", "-req", "-in", request, *by, *_DAYS, "-extfile", extensions, "-out", certificate)
    return certificate


def _out(certificate: Path) -> tuple[str | Path, ...]:
    return "-keyout", certificate.with_suffix(".key"), "-out", certificate


def _openssl(*args: str | Path) -> None:
    done = subprocess.run(["openssl", *args], capture_output=True, text=True, timeout=100, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {args[0]}: {done.stderr.strip()}")
