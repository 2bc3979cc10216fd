"""https: with the name that was asked for, though the connection goes to an address."""

import asyncio
import datetime
import ssl
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from pathlib import Path

import pytest
import uvloop
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tests.integration.gateway.media.hostile import answer, hostile, redirect

from omnipipe.gateway.media.errors import Refused
from omnipipe.gateway.media.fetch import Fetcher

HOST = "site.example"

uvloop.new_event_loop().close()  # libuv's first loop opens a pipe for signals that stays for the life of the process


async def names(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


@pytest.fixture
def contexts(tmp_path: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server that is `site.example`, and of a client that trusts nobody else."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    text = certificate.public_bytes(serialization.Encoding.PEM)
    (tmp_path / "site.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + text
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "site.pem")
    return server, ssl.create_default_context(cadata=text.decode())


def fetcher(tls: ssl.SSLContext | None) -> Fetcher:
    return Fetcher(("*",), [ip_network("127.0.0.1/32")], lookup=names, tls=tls)


async def check_the_name(server: ssl.SSLContext, client: ssl.SSLContext) -> None:
    asked: list[str | None] = []
    server.sni_callback = lambda sock, name, context: asked.append(name)
    async with hostile(tls=server) as web:
        web.pages = {"/": answer(b"x" * 100_000), "/down": redirect(f"http://{HOST}:{web.port}/")}

        assert await fetcher(client).fetch(f"https://{HOST}:{web.port}/", 100_000) == b"x" * 100_000
        assert asked == [HOST]
        for url in (f"https://other.example:{web.port}/", f"https://127.0.0.1:{web.port}/"):
            with pytest.raises(Refused, match="none that can be trusted"):
                await fetcher(client).fetch(url, 100_000)
        with pytest.raises(Refused, match="none that can be trusted"):
            await fetcher(None).fetch(f"https://{HOST}:{web.port}/", 100_000)  # the system's authorities do not know it
        with pytest.raises(Refused, match="redirects from https: to http:"):
            await fetcher(client).fetch(f"https://{HOST}:{web.port}/down", 100_000)
        assert len(web.heads) == 2


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_names_are_checked(
    make_loop: Callable[[], asyncio.AbstractEventLoop], contexts: tuple[ssl.SSLContext, ssl.SSLContext]
) -> None:
    """uvloop is what gateways run on, where there is one."""
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(check_the_name(*contexts))
