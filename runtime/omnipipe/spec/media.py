"""The manifest's section on media: `spec.gateway.media`."""

from pydantic import Field

from omnipipe.spec.scalars import FolderPath, HostPattern, NetworkRange, Seconds
from omnipipe.spec.section import Section

__all__ = ["MediaSpec"]

_MIB = 1 << 20


class MediaSpec(Section):
    allowed_hosts: tuple[HostPattern, ...] = Field(
        default=(),
        strict=False,
        max_length=64,
        description="Hosts that http: and https: URLs of media in requests may lead to: names, *.example.com for all "
        "below one, * for every host with a public address. Left out: none, and media must come with the request.",
    )
    allowed_networks: tuple[NetworkRange, ...] = Field(
        default=(),
        strict=False,
        max_length=16,
        description="Networks, such as 10.1.2.0/24, whose addresses allowedHosts may have although they are not "
        "public. Left out: public addresses only.",
    )
    allowed_folders: tuple[FolderPath, ...] = Field(
        default=(),
        strict=False,
        max_length=16,
        description="Folders that file: URLs of media in requests may lead below, in the gateway's file system: on a "
        "cluster that of its container, where spec.gateway.pod mounts them. Left out: none.",
    )
    max_items: int = Field(
        default=32, ge=1, le=1024, description="Images, sounds and videos that one request may bring."
    )
    max_bytes: int = Field(default=64 * _MIB, ge=1, le=2 << 30, description="Largest of them, as it comes (encoded).")
    max_total_bytes: int = Field(
        default=128 * _MIB,
        ge=1,
        le=2 << 30,
        description="Largest sum of them; never more than fits into spec.transport.maxMessageBytes.",
    )
    max_pixels: int = Field(
        default=1 << 25, ge=1, le=1 << 26, description="Most pixels of one image, or of one frame of a video."
    )
    max_seconds: Seconds = Field(
        default=1800.0, le=86400, description="Longest sound or video, in seconds of what it plays."
    )
    fetch_timeout_seconds: Seconds = Field(
        default=30.0, le=3600, description="How long it may take to fetch all media of one request."
    )
