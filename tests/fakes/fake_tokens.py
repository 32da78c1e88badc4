"""Tokens that say who they belong to: ``application/Role,Role``."""

from shared.domain.errors import NotAuthenticated
from shared.domain.identifiers import TenantId
from shared.ports import Caller


class FakeTokens:
    async def verify(self, token: str) -> Caller:
        application, slash, roles = token.partition("/")
        if not slash:
            raise NotAuthenticated("not a token")
        return Caller(TenantId(application), application, frozenset(roles.split(",")))
