"""Certificates: who is trusted, and what is told where nobody is."""

import ssl

import pytest
import trustme
from aiohttp import web

from tests.commands.hosting import application

PUBLIC = "{ public }"


@pytest.fixture
def port(host, here):
    """A server with a certificate for localhost, signed by the authority in the file `authority`."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(here / "authority")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)

    async def answer(request):
        return web.json_response({"data": {"public": request.secure}})

    return host.enter(application(answer, ssl_context=context))


@pytest.mark.parametrize("scheme", ["https", "wss"])
def test_an_unknown_authority_is_one_line_with_the_cure(run, port, scheme):
    ran = run("query", f"{scheme}://localhost:{port}/", PUBLIC)

    assert (1, "") == (ran.code, ran.out)
    assert "CERTIFICATE_VERIFY_FAILED" in ran.line
    assert ran.line.endswith("give the certificate of the authority that signed it as --ca-file")


def test_another_name_is_one_line_without_a_cure_that_is_none(run, port):
    ran = run("query", f"https://127.0.0.1:{port}/", PUBLIC, "--ca-file", "authority")

    assert (1, "") == (ran.code, ran.out)
    assert "IP address mismatch" in ran.line
    assert "--ca-file" not in ran.line


def test_an_authority_is_trusted_if_wanted(run, port):
    ran = run("query", f"https://localhost:{port}/", PUBLIC, "--ca-file", "authority")

    assert (0, '{"data":{"public":true}}\n', "") == (ran.code, ran.out, ran.err)


def test_anybody_is_trusted_if_wanted_with_a_warning(run, port):
    ran = run("query", f"https://127.0.0.1:{port}/", PUBLIC, "--insecure")

    assert (0, '{"data":{"public":true}}\n') == (ran.code, ran.out)
    assert ran.line.startswith("warning: --insecure trusts any certificate")


def test_a_server_without_tls_is_one_line(run, scripted):
    ran = run("query", scripted.uri.replace("http", "https"), PUBLIC)

    assert (1, "") == (ran.code, ran.out)
    assert "ClientConnectorSSLError" in ran.line
