"""The cluster's own authority and what it signs, made anew for each cluster with openssl. Worth nothing elsewhere."""

import base64
import json
from pathlib import Path

from scripts.cluster.processes import call

__all__ = ["Authority"]

_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-noenc")
_DAYS = ("-days", "30")


class Authority:
    """PEM files in one private folder. A key lies beside its certificate, as `.key`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.certificate = folder / "authority.crt"
        self.accounts = folder / "accounts.key"
        """Signs service account tokens; beside it, as `.pub`, what verifies them."""

    def make(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True)
        out = ("-keyout", self.certificate.with_suffix(".key"), "-out", self.certificate)
        call("openssl", "req", "-x509", *_KEY, *_DAYS, "-subj", "/CN=omnipipe-cluster", *out)
        curve = ("-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:prime256v1")
        call("openssl", "genpkey", *curve, "-out", self.accounts)
        call("openssl", "pkey", "-in", self.accounts, "-pubout", "-out", self.accounts.with_suffix(".pub"))

    def server(self, name: str, names: str) -> Path:
        return self._sign(name, f"/CN={name}", f"subjectAltName={names}")

    def client(self, name: str, user: str, group: str | None = None) -> Path:
        return self._sign(name, f"{f'/O={group}' if group else ''}/CN={user}", "extendedKeyUsage=clientAuth")

    def kubeconfig(self, path: Path, certificate: Path, url: str) -> Path:
        """Holds everything it needs: it may be copied."""
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [
                {
                    "name": "omnipipe",
                    "cluster": {"server": url, "certificate-authority-data": _encoded(self.certificate)},
                }
            ],
            "users": [
                {
                    "name": "user",
                    "user": {
                        "client-certificate-data": _encoded(certificate),
                        "client-key-data": _encoded(certificate.with_suffix(".key")),
                    },
                }
            ],
            "contexts": [{"name": "omnipipe", "context": {"cluster": "omnipipe", "user": "user"}}],
            "current-context": "omnipipe",
        }
        path.touch(mode=0o600)
        path.write_text(json.dumps(config, indent=1), encoding="utf-8")
        return path

    def _sign(self, name: str, subject: str, extension: str) -> Path:
        certificate, request, extensions = (self.folder / f"{name}{suffix}" for suffix in (".crt", ".csr", ".ext"))
        extensions.write_text(extension + "\n", encoding="utf-8")
        key = certificate.with_suffix(".key")
        call("openssl", "req", "-new", *_KEY, "-subj", subject, "-keyout", key, "-out", request)
        by = ("-CA", self.certificate, "-CAkey", self.certificate.with_suffix(".key"), "-CAcreateserial")
        call("openssl", "x509", "-req", "-in", request, *by, *_DAYS, "-extfile", extensions, "-out", certificate)
        return certificate


def _encoded(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode()
