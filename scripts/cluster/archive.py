"""An image of one static program, written by hand as an archive: what a cluster needs before it can build any."""

import hashlib
import io
import json
import platform
import tarfile
from pathlib import Path

__all__ = ["write_program_image"]

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def write_program_image(program: Path, name: str, target: Path) -> None:
    """`docker save` format. Runs as nobody."""
    layer = _tar({program.name: (program.read_bytes(), 0o755)})
    config = {
        "architecture": _ARCHITECTURES.get(platform.machine(), platform.machine()),
        "os": "linux",
        "config": {"Entrypoint": [f"/{program.name}"], "User": "65534:65534"},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
        "history": [{"created_by": "scripts/cluster/archive.py"}],
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {
        "config.json": (json.dumps(config).encode(), 0o644),
        "layer.tar": (layer, 0o644),
        "manifest.json": (json.dumps(manifest).encode(), 0o644),
    }
    target.write_bytes(_tar(files))


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, (content, mode) in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(content), mode
            tar.addfile(info, io.BytesIO(content))
    return out.getvalue()
