"""Proof that a request came through the gateway: a secret that the gateway adds as a header and nobody else knows.

Several may be valid at once, so that it can be changed without refusing anyone (docs/settings.md, GATEWAY_PROOF). The
caller's own credential is asked for all the same.
"""

import hmac
from dataclasses import dataclass, field

HEADER = "x-cns-gateway"
MIN_LENGTH = 24


@dataclass(frozen=True, slots=True)
class GatewayProof:
    """The secrets that are accepted; without any, every way in is."""

    secrets: tuple[bytes, ...] = field(default=(), repr=False)

    @classmethod
    def of(cls, setting: str) -> "GatewayProof":
        """The secrets in a setting, separated by spaces. Raises ValueError, which shows no value."""
        secrets = setting.split()
        if any(len(secret) < MIN_LENGTH or not secret.isascii() for secret in secrets):
            raise ValueError(f"the setting GATEWAY_PROOF has a secret under {MIN_LENGTH} characters, or not in ASCII")
        return cls(tuple(secret.encode() for secret in secrets))

    def admits(self, shown: str | None) -> bool:
        """Whether ``shown``, the header's value, is one of the secrets; in the same time, whichever it is like."""
        if not self.secrets:
            return True
        presented = (shown or "").encode("utf-8", "replace")
        # A list, not a generator: any() would stop at the first that fits and tell by its haste which one that is.
        return any([hmac.compare_digest(secret, presented) for secret in self.secrets])  # noqa: C419 - see above
