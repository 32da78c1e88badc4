"""The issuer's RSA keys: made once per data folder, readable by the owner only, the newest signs, all are published."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key

from local_azure.entra.private_files import folder_lock, write_private_file

KEY_SIZE_BITS = 2048


class KeyFolderError(ValueError):
    """The key folder holds something that is not a key of this issuer; the message says what."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key with its id (RFC 7638 thumbprint)."""

    kid: str
    private: RSAPrivateKey

    def as_jwk(self) -> dict[str, str]:
        """The public half as Entra's JWKS shows it."""
        return {"kty": "RSA", "use": "sig", "kid": self.kid, "alg": "RS256", **_modulus_and_exponent(self.private)}


class SigningKeys:
    """The keys of one data folder. Safe when several processes start at once."""

    def __init__(self, data: Path) -> None:
        self._folder = data / "keys"

    def published(self) -> list[SigningKey]:
        """All keys, oldest first; makes the first one when there is none. Raises: KeyFolderError."""
        files = self._files()
        if not files:
            with folder_lock(self._folder):
                if not self._files():
                    self._make(1)
            files = self._files()
        return [_load(file) for file in files]

    def current(self) -> SigningKey:
        """The newest key, which signs."""
        return self.published()[-1]

    def rotate(self) -> SigningKey:
        """A new current key; the old ones stay published."""
        with folder_lock(self._folder):
            files = self._files()
            number = int(files[-1].stem.removeprefix("key-")) + 1 if files else 1
            return _load(self._make(number))

    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("key-*.pem"))

    def _make(self, number: int) -> Path:
        pem = generate_private_key(public_exponent=65537, key_size=KEY_SIZE_BITS).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        file = self._folder / f"key-{number:06d}.pem"
        write_private_file(file, pem)
        return file


def _load(file: Path) -> SigningKey:
    try:
        private = serialization.load_pem_private_key(file.read_bytes(), password=None)
    except ValueError as error:
        raise KeyFolderError(f"{file} is not a PEM private key") from error
    if not isinstance(private, RSAPrivateKey):
        raise KeyFolderError(f"{file} is not an RSA key")
    numbers = _modulus_and_exponent(private)
    thumbprint = f'{{"e":"{numbers["e"]}","kty":"RSA","n":"{numbers["n"]}"}}'
    return SigningKey(_base64url(hashlib.sha256(thumbprint.encode()).digest()), private)


def _modulus_and_exponent(private: RSAPrivateKey) -> dict[str, str]:
    numbers = private.public_key().public_numbers()
    return {
        "n": _base64url(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
        "e": _base64url(numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")),
    }


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()
