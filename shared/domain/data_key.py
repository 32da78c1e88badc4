"""A data key as it is looked after: by name, without its secret."""

from dataclasses import dataclass

from shared.domain.identifiers import TenantId


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A tenant's data key in the store, and the name of the key that it is wrapped with."""

    tenant: TenantId
    id: str
    wrapped_by: str
