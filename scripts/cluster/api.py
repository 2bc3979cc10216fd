"""Reads from the cluster's API server as its administrator, by one GET at a time."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any, Final

from scripts.cluster.errors import ClusterError
from scripts.cluster.layout import Layout

__all__ = ["Api"]

_REQUEST_S: Final = 5.0


class Api:
    def __init__(self, layout: Layout, certificates: Path) -> None:
        self._ip = layout.network.node_ip
        self._authority, self._admin = certificates / "authority.crt", certificates / "admin.crt"

    def get(self, path: str) -> Any:
        """Decoded JSON, or text. Raises ClusterError."""
        context = ssl.create_default_context(cafile=self._authority)
        context.load_cert_chain(self._admin, self._admin.with_suffix(".key"))
        connection = http.client.HTTPSConnection(self._ip, 6443, context=context, timeout=_REQUEST_S)
        try:
            connection.request("GET", path, headers={"accept": "application/json"})
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise ClusterError(f"GET {path}: {error}") from error
        finally:
            connection.close()
        if answer.status != 200:
            raise ClusterError(f"GET {path}: {answer.status}")
        return json.loads(body) if answer.getheader("content-type", "").startswith("application/json") else body

    def answers(self, path: str) -> bool:
        try:
            self.get(path)
        except ClusterError:
            return False
        return True
