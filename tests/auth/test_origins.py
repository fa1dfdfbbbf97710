"""Origins as users name them, and who may get a header."""

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from rxlink.auth.origins import Audience, checked_origins, is_loopback, origin_of
from rxlink.errors import InvariantError, InvariantTypeError


def checked(*origins: object, allow_insecure: bool = False) -> frozenset[str] | None:
    return checked_origins(list(origins), allow_insecure=allow_insecure)


class TestOrigins:
    @pytest.mark.parametrize(
        ("given_text", "expected"),
        [
            ("https://api.example.com", "https://api.example.com"),
            ("HTTPS://API.Example.Com", "https://api.example.com"),
            ("https://api.example.com:443", "https://api.example.com"),
            ("https://api.example.com:8443", "https://api.example.com:8443"),
            ("https://api.example.com:80", "https://api.example.com:80"),
            ("https://api.example.com:08443", "https://api.example.com:8443"),
            ("http://localhost", "http://localhost"),
            ("http://localhost:80", "http://localhost"),
            ("http://localhost:443", "http://localhost:443"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("https://bücher.example", "https://xn--bcher-kva.example"),
            ("https://BÜCHER.example", "https://xn--bcher-kva.example"),
            ("https://bu\u0308cher.example", "https://xn--bcher-kva.example"),
            ("https://xn--bcher-kva.example", "https://xn--bcher-kva.example"),
            ("https://[2001:DB8:0:0::1]:8443", "https://[2001:db8::1]:8443"),
            ("http://[0:0:0:0:0:0:0:1]", "http://[::1]"),
            ("https://my_service", "https://my_service"),
            ("https://api.example.com.", "https://api.example.com."),
        ],
    )
    def test_come_in_the_form_in_which_requests_name_them(self, given_text: str, expected: str):
        assert frozenset({expected}) == checked(given_text)
        url = URL(given_text)
        assert expected == origin_of(url.scheme, url.raw_host, url.port)

    def test_none_are_none_and_several_are_a_set(self):
        assert checked_origins(None, allow_insecure=False) is None
        several = {"https://a.example", "https://b.example"}
        assert several == checked("https://a.example", "https://b.example", "https://A.example:443")
        assert several == checked_origins(several, allow_insecure=False)
        assert several == checked_origins((name for name in sorted(several)), allow_insecure=False)

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "api.example.com",
            "//api.example.com",
            "ftp://api.example.com",
            "wss://api.example.com",
            "http\u017f://api.example.com",
            "https://",
            "https://api.example.com/",
            "https://api.example.com/graphql",
            "https://api.example.com?x=1",
            "https://api.example.com#x",
            "https://api.example.com\\x",
            "https://ada@api.example.com",
            "https://ada:pw@api.example.com",
            "https://*.example.com",
            "https://*",
            "*",
            "null",
            "https://api.example.com:",
            "https://api.example.com:0",
            "https://api.example.com:65536",
            "https://api.example.com:٣",
            "https://api.example.com:https",
            "https://api.example.com https://b.example",
            " https://api.example.com",
            "https://api.example.com\n",
            "https://api..example.com",
            "https://.example.com",
            "https://ex%61mple.com",
            "https://faß.example",
            "https://βόλος.example",
            "https://a\u200db.example",
            "https://\uff45xample.com",
            "https://a\u034fb.example",
            "https://\u13a0.example",
            "https://127.1",
            "https://127.0.0.1.",
            "https://0x7f.0.0.1",
            "https://0x7f000001",
            "https://2130706433",
            "https://127.0.0.01",
            "https://256.0.0.1",
            "https://::1",
            "https://[::1",
            "https://[1.2.3.4]",
            "https://[:::1]",
            "https://[fe80::1%25eth0]",
        ],
    )
    def test_that_are_none_or_could_be_taken_for_others_are_refused(self, text: str):
        with pytest.raises(InvariantError, match="and nothing else"):
            checked(text)

    @pytest.mark.parametrize("origins", [[], (), frozenset()])
    def test_there_has_to_be_one(self, origins: object):
        with pytest.raises(InvariantError, match="`origins` is empty"):
            checked_origins(origins, allow_insecure=False)

    @pytest.mark.parametrize(
        "origins", ["https://api.example.com", b"https://x", 7, {"https://a.example": 1}, object()]
    )
    def test_are_a_collection(self, origins: object):
        with pytest.raises(InvariantTypeError, match=r"`origins` is an? .*; give a list|`origins` is bytes"):
            checked_origins(origins, allow_insecure=False)

    @pytest.mark.parametrize("origin", [None, 7, b"https://api.example.com", ["https://api.example.com"]])
    def test_are_texts(self, origin: object):
        with pytest.raises(InvariantTypeError, match="`origins` holds"):
            checked("https://a.example", origin)

    def test_over_plain_http_are_refused_unless_that_is_allowed_or_stays_on_this_machine(self):
        with pytest.raises(InvariantError, match=r"'http://api\.internal', and over plain http.*`allow_insecure=True`"):
            checked("http://api.internal")

        assert {"http://api.internal"} == checked("http://api.internal", allow_insecure=True)
        assert {"http://app.localhost:3000"} == checked("http://app.localhost:3000")

    @pytest.mark.parametrize(
        "text",
        [
            "https://ada:s3cret@api.example.com",
            "https://api.example.com/?token=s3cret",
            "ada:s3cret@x",
            "https://x#s3cret",
        ],
    )
    def test_show_no_secrets_when_they_are_refused(self, text: str):
        with pytest.raises(InvariantError) as caught:
            checked(text)

        assert "s3cret" not in str(caught.value)

    @given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=12))
    @example("ß")
    @example("ẞ")
    @example("ς")
    @example("ǅ")
    @example("İ")
    @example("K")
    @example("Ⱥ")
    @example("。")
    @example("1")
    @example("xn--")
    def test_are_either_refused_or_what_the_http_library_makes_of_them(self, name: str):
        try:
            [origin] = checked(f"https://{name}.example") or ()
        except InvariantError:
            return
        with suppress(ValueError):  # it refuses some of them
            url = URL(f"https://{name}.example")
            assert origin == origin_of(url.scheme, url.raw_host or "", url.port)


class TestThisMachine:
    @pytest.mark.parametrize(
        "host", ["localhost", "app.localhost", "a.b.localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"]
    )
    def test_has_these_names(self, host: str):
        assert is_loopback(host)

    @pytest.mark.parametrize(
        "host",
        [
            "",
            "localhost.example.com",
            "notlocalhost",
            "localhost.localdomain",
            "127.0.0.1.example.com",
            "128.0.0.1",
            "127.1",
            "2130706433",
            "0.0.0.0",  # noqa: S104 - a name, not where something listens
            "::",
            "::2",
            "::ffff:127.0.0.1",
            "::ffff:7f00:1",
            "::1%lo",
            "10.0.0.1",
        ],
    )
    def test_has_no_others(self, host: str):
        assert not is_loopback(host)


class TestAnAudience:
    """E99: a token goes to the right place only."""

    @pytest.mark.parametrize(
        ("audience", "url", "is_own", "expected"),
        [
            (Audience(), "https://api.example.com", True, None),
            (Audience(), "https://api.example.com", False, "not the origin of the link's own"),
            (Audience(), "http://127.0.0.1:80", True, None),
            (Audience(), "http://api.internal", True, "plain http"),
            (Audience(None, allow_insecure=True), "http://api.internal", True, None),
            (Audience(None, allow_insecure=True), "http://api.internal", False, "not the origin of the link's own"),
            (Audience(frozenset({"https://a.example"})), "https://a.example:443/x", True, None),
            (Audience(frozenset({"https://a.example"})), "https://a.example", False, None),
            (Audience(frozenset({"https://a.example"})), "https://b.example", True, "does not name it"),
            (Audience(frozenset({"https://a.example"})), "https://a.example:8443", True, "does not name it"),
            (Audience(frozenset({"https://a.example"})), "https://a.example.com", False, "does not name it"),
            (Audience(frozenset({"https://a.example"})), "http://a.example", True, "does not name it"),
            (Audience(frozenset({"http://a.example"})), "http://a.example", True, "plain http"),
            (Audience(frozenset({"http://a.example"}), allow_insecure=True), "http://a.example", False, None),
            (Audience(frozenset({"https://[::1]:8443"})), "https://[::1]:8443", False, None),
        ],
    )
    def test_is_told_by_scheme_host_and_port(self, audience: Audience, url: str, is_own: bool, expected: str | None):
        target = URL(url)

        refusal = audience.refusal(target.scheme, target.raw_host or "", target.port, is_own=is_own)

        assert (expected is None) == (refusal is None)
        assert (expected or "") in (refusal or "")
