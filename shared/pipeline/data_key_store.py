"""The data keys as use cases see them."""

from collections.abc import Sequence
from typing import Protocol

from shared.contracts.sealing import Keyring
from shared.domain.data_key import StoredKey


class DataKeyStore(Keyring, Protocol):
    """The data keys as they are stored. Every method raises StoreUnavailable."""

    async def stored(self) -> Sequence[StoredKey]:
        """Every data key there is."""
        ...

    async def newest_wrapping(self) -> str:
        """The name of the key that new data keys are wrapped with."""
        ...

    async def rewrap(self, key: StoredKey) -> bool:
        """Whether the key was wrapped anew, with the newest key."""
        ...

    async def is_used(self, key: StoredKey) -> bool:
        """Whether anything is left that was sealed with the key."""
        ...

    async def destroy(self, key: StoredKey) -> None:
        """The key is gone for good."""
        ...
