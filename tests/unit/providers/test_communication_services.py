import base64

import pytest

from shared.providers.communication_services import resource_of
from tests.unit.providers.recording_client import NOW

KEY = base64.b64encode(b"access key of the resource").decode()
RESOURCE = resource_of("SETTING", f"endpoint=https://cns.communication.azure.com/;accesskey={KEY}")
OPERATION = "/emails/operations/05563e3a-b5d3-d676-4c61-efb99302bd5b?api-version=2023-03-31"


@pytest.mark.parametrize(
    ("method", "path", "body", "digest", "signature"),
    [
        (
            "POST",
            "/emails:send?api-version=2023-03-31",
            '{"a":"ü"}'.encode(),
            "/WIYIwAnBuJGBMuGip9PiFDW8B+1BA1JugUEguFHJDc=",
            "+5M53A6GMQlASgIXqehIXsXUe/p121Mu5AD9JcXrihE=",
        ),
        (
            "GET",
            OPERATION,
            b"",
            "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            "OgDsJe2lL3RDatyi6++NbZzri1W8Ztn6FNeLM3uRGFw=",
        ),
    ],
)
def test_signs_as_the_vendors_own_client(method, path, body, digest, signature):
    """The signatures are those of azure-communication-email 1.1.0 for the same arguments."""
    assert RESOURCE.signed_headers(method, path, body, NOW) == {
        "x-ms-date": "Tue, 24 Nov 2026 12:30:00 GMT",
        "x-ms-content-sha256": digest,
        "authorization": f"HMAC-SHA256 SignedHeaders=x-ms-date;host;x-ms-content-sha256&Signature={signature}",
    }


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("https://CNS.communication.azure.com/", "cns.communication.azure.com"),
        ("https://cns.communication.azure.com:443", "cns.communication.azure.com"),
        ("http://127.0.0.1:7080", "127.0.0.1:7080"),
    ],
)
def test_the_host_is_signed_as_the_client_sends_it(endpoint, host):
    assert resource_of("SETTING", f"endpoint={endpoint};accesskey={KEY}").host == host


def test_another_address_takes_the_endpoints_place():
    resource = resource_of("SETTING", f"endpoint=https://x.example/;accesskey={KEY}", "http://127.0.0.1:7080")

    assert (resource.url, resource.host) == ("http://127.0.0.1:7080", "127.0.0.1:7080")


@pytest.mark.parametrize(
    "connection",
    [
        "",
        "endpoint=https://x.example/",
        f"accesskey={KEY}",
        f"endpoint=ftp://x.example;accesskey={KEY}",
        f"endpoint=https://x.example/path;accesskey={KEY}",
        "endpoint=https://x.example;accesskey=***secret***",
    ],
)
def test_a_connection_string_that_is_none_is_named_and_not_shown(connection):
    with pytest.raises(ValueError, match="SETTING") as caught:
        resource_of("SETTING", connection)

    assert "secret" not in str(caught.value)
    assert KEY not in str(caught.value)


def test_the_key_stays_out_of_representations():
    assert "access key" not in repr(RESOURCE)
