"""One round: every subject started, measured and stopped, one after the other, each with a fake provider of its own."""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bench.peers import measurement
from bench.peers.celery_peer import running_celery
from bench.peers.cns_subject import Cns, running_cns
from bench.peers.measurement import WARM_UP, Numbers
from bench.peers.peer import Peer
from bench.peers.seed002_peer import Variant, running_seed002
from bench.peers.subject import Outcome
from bench.provider_client import Provider, running_provider

BATCH_ITEMS = 1000
_VARIANTS = (Variant(), Variant(worker_renders=True), Variant(prefetch=50))  # the first is the seed to the letter
WITH_TARGETS = {variant.name for variant in _VARIANTS}  # the targets are about seed 002
CNS_SINGLE, CNS_BATCH = "CNS, singles", f"CNS, batches of {BATCH_ITEMS:,}"


@dataclass(frozen=True)
class Sizes:
    """How much is sent in each measurement."""

    singles: int
    batches: int


def run_round(sizes: Sizes, python: Path, say: Callable[[str], None]) -> list[Outcome]:
    """All outcomes, peers first."""
    outcomes = []
    for variant in _VARIANTS:
        with _provider_and_folder() as (provider, folder), running_seed002(folder, python, provider, variant) as peer:
            outcomes.append(_measure_peer(peer, sizes, say))
    with _provider_and_folder() as (provider, folder), running_celery(folder, python, provider) as peer:
        outcomes.append(_measure_peer(peer, sizes, say))
    return outcomes + _measure_cns(sizes, say)


def _measure_peer(peer: Peer, sizes: Sizes, say: Callable[[str], None]) -> Outcome:
    numbers = Numbers()
    say(f"{peer.name}: warm-up")
    measurement.warm_up(peer, numbers, WARM_UP)
    peer.hold_delivery()
    say(f"{peer.name}: accept {sizes.singles}, then deliver them")
    accepting = measurement.accept(peer, numbers.take(sizes.singles))
    draining = measurement.drain(peer, peer.resume_delivery, sizes.singles)
    say(f"{peer.name}: accept and deliver {sizes.singles} at once")
    both = measurement.together(peer, numbers.take(sizes.singles))
    return Outcome(peer.name, accepting, draining, both, peer.memory())


def _measure_cns(sizes: Sizes, say: Callable[[str], None]) -> list[Outcome]:
    with _provider_and_folder() as (provider, folder), running_cns(folder, provider, accept_only=True) as stack:
        say(f"CNS, accepting half: accept {sizes.singles}")
        front, numbers = Cns(stack, "CNS, accepting half", 0), Numbers()
        measurement.load(front, numbers.take(WARM_UP))
        accepting = measurement.accept(front, numbers.take(sizes.singles))
    with _provider_and_folder() as (provider, folder), running_cns(folder, provider) as stack:
        single = replace(_measure_whole(Cns(stack, CNS_SINGLE, 0), sizes.singles, WARM_UP, say), accept=accepting)
    with _provider_and_folder() as (provider, folder), running_cns(folder, provider) as stack:
        batch = _measure_whole(Cns(stack, CNS_BATCH, BATCH_ITEMS), sizes.batches, 1, say, items=BATCH_ITEMS)
    return [single, batch]


def _measure_whole(subject: Cns, count: int, warm_up: int, say: Callable[[str], None], *, items: int = 1) -> Outcome:
    numbers = Numbers()
    say(f"{subject.name}: accept and deliver {count * items} at once")
    measurement.warm_up(subject, numbers, warm_up, items=items)
    connections = 2 if items > 1 else measurement.CONNECTIONS
    both = measurement.together(subject, numbers.take(count), items=items, connections=connections)
    return Outcome(subject.name, None, None, both, subject.memory())


@contextlib.contextmanager
def _provider_and_folder() -> Iterator[tuple[Provider, Path]]:
    """The folder is kept when something went wrong, for its logs."""
    # Not in .local: the servers' own users must be able to walk to their folders.
    folder = Path(tempfile.mkdtemp(prefix="cns-peers-"))
    folder.chmod(0o755)
    is_kept = False
    try:
        with running_provider() as provider:
            yield provider, folder
    except Exception as error:
        error.add_note(f"logs: {folder}")
        is_kept = True
        raise
    finally:
        if not is_kept:
            shutil.rmtree(folder)
