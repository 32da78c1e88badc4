"""Which provider carries a delivery: decided from the tenant's policy, prices, who is away, and what was tried before.

Takes names of providers and the delivery's earlier attempts, gives the order of preference and the one choice. Every
provider has the channel's maximum of attempts to itself (design 2.2, step 8); the next one's turn comes when that is
used up, when it is misconfigured or away, or when it says that it does not carry this message. Pure.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from enum import StrEnum

from shared.domain.errors import Misconfigured, PutOff, Throttled, Untried
from shared.domain.notification import Attempt
from shared.domain.quick_dataclass import quick_dataclass
from shared.domain.tenant_policy import ProviderShare

# A provider that asks for a longer pause than this is passed over while another one is there. For a shorter one the
# order of preference is worth the wait.
PACING_PATIENCE = timedelta(seconds=10)
HELD = "held"  # the outcome of an attempt that ended before anybody was called
NOT_CARRIED = "notcarried"  # the outcome of an attempt whose provider says: not by me
_PERCENT = 100
_UNTRIED = Untried.__name__.lower()
_UNBURNED = {Throttled.__name__.lower(), PutOff.__name__.lower(), _UNTRIED, NOT_CARRIED, HELD}


class PassedOver(StrEnum):
    """Why a provider is not the one; the words stand in attempts and answers."""

    USED_UP = "attempts_used_up"  # it has had its share of attempts
    MISCONFIGURED = "misconfigured"  # our account there is wrong: others first
    NOT_CARRIED = "not_carried"  # it said so of this message, or its account is not meant for the country
    BREAKER_OPEN = "breaker_open"  # it fails for everybody at the moment
    THROTTLED = "throttled"  # it asked for a pause that is not over


@quick_dataclass(frozen=True, slots=True)
class Choice:
    """Who carries the next attempt.

    Attributes:
        provider: the provider's name; None when nobody can carry it at the moment, or ever.
        because: why it is not the most preferred one; None when it is.
        is_final: nobody ever will.
    """

    provider: str | None
    because: PassedOver | None = None
    is_final: bool = False


def order_of(configured: Sequence[str], shares: Sequence[ProviderShare], identity: str) -> tuple[str, ...]:
    """The providers in order of preference for one delivery.

    A policy that names none of the configured providers is as good as none: preferences must not stop deliveries.
    Weights split the first choices, by a hash of ``identity`` that is the same everywhere and for ever; a provider
    without a weight shares what the others leave of 100.
    """
    known = [share for share in shares if share.name in configured]
    if not known:
        return tuple(configured)
    names = [share.name for share in known]
    if all(share.weight is None for share in known):
        return tuple(names)
    first = _drawn(known, identity)
    return (first, *(name for name in names if name != first))


def _drawn(shares: Sequence[ProviderShare], identity: str) -> str:
    given = sum(share.weight or 0 for share in shares)
    unweighted = sum(share.weight is None for share in shares)
    rest = max(0, _PERCENT - given) / unweighted if unweighted else 0.0
    weights = [rest if share.weight is None else share.weight for share in shares]
    point = int.from_bytes(hashlib.sha256(f"split\n{identity}".encode()).digest()[:8]) / 2**64 * sum(weights)
    for share, weight in zip(shares, weights, strict=True):
        if point < weight:
            return share.name
        point -= weight
    return shares[0].name  # all weights are 0


def cheapest_first(order: Sequence[str], price: Callable[[str], int]) -> tuple[str, ...]:
    """The order by price; providers of the same price stay as they were."""
    return tuple(sorted(order, key=price))


def choose(
    order: Sequence[str],
    earlier: Sequence[Attempt],
    max_attempts: int,
    away: Mapping[str, PassedOver],
) -> Choice:
    """Who makes the next attempt.

    Args:
        order: the providers that reach the recipient, in order of preference.
        earlier: the attempts made so far.
        max_attempts: how many attempts each provider has.
        away: providers that nobody should call at the moment, and why.
    """
    if not order:
        return Choice(None, PassedOver.NOT_CARRIED, is_final=True)
    if not earlier and order[0] not in away:
        return Choice(order[0])
    first_reason: PassedOver | None = None
    to_wait_for: PassedOver | None = None
    last_resorts = []
    for name in order:
        reason = has_no_share(name, earlier, max_attempts)
        if reason is PassedOver.MISCONFIGURED:
            last_resorts.append(name)
        elif reason is None and name in away:
            reason = away[name]
            to_wait_for = to_wait_for or reason
        elif reason is None:
            return Choice(name, first_reason)
        first_reason = first_reason or reason
    for name in last_resorts:
        if name not in away:
            return Choice(name, first_reason if name != order[0] else None)
        to_wait_for = to_wait_for or away[name]
    return Choice(None, to_wait_for or first_reason, is_final=to_wait_for is None)


def has_no_share(name: str, attempts: Iterable[Attempt], max_attempts: int) -> PassedOver | None:
    """Why the provider should not make another attempt of this delivery; None when it should.

    ``MISCONFIGURED`` may still make one, when there is nobody else. An attempt whose worker died tells no provider and
    counts for each, so that deaths never add attempts.
    """
    own = [attempt for attempt in attempts if attempt.provider in {name, None}]
    outcomes = {attempt.outcome for attempt in own}
    if NOT_CARRIED in outcomes:
        return PassedOver.NOT_CARRIED
    if burned(own) >= max_attempts:
        return PassedOver.USED_UP
    if Misconfigured.__name__.lower() in outcomes:
        return PassedOver.MISCONFIGURED
    return None


def others_with_a_share(
    order: Sequence[str], provider: str, attempts: Sequence[Attempt], max_attempts: int
) -> tuple[str, ...]:
    """The other providers that may make the next attempt at once."""
    return tuple(name for name in order if name != provider and has_no_share(name, attempts, max_attempts) is None)


def is_used_up(order: Sequence[str], attempts: Sequence[Attempt], max_attempts: int) -> bool:
    """Whether no provider may make another attempt."""
    over = {PassedOver.USED_UP, PassedOver.NOT_CARRIED}
    return all(has_no_share(name, attempts, max_attempts) in over for name in order)


def burned(attempts: Iterable[Attempt]) -> int:
    """How many of ``attempts`` count against a maximum.

    To be asked to slow down, sent elsewhere, held, or refused for another message's sake does not.
    """
    return sum(attempt.outcome not in _UNBURNED for attempt in attempts)


def was_untried(attempts: Iterable[Attempt]) -> bool:
    """Whether one of ``attempts`` was refused for another message's sake."""
    return any(attempt.outcome == _UNTRIED for attempt in attempts)
