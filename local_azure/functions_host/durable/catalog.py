"""Which durable functions the app has; names are case-insensitive, as in the extension."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class DurableFunctions:
    """The names of the app's orchestrators, activities and entities."""

    orchestrators: set[str] = field(default_factory=set)
    activities: set[str] = field(default_factory=set)
    entities: set[str] = field(default_factory=set)

    def orchestrator(self, name: str) -> str | None:
        """The orchestrator's name as the app writes it, or None when there is none."""
        return _find(self.orchestrators, name)

    def activity(self, name: str) -> str | None:
        return _find(self.activities, name)

    def entity(self, name: str) -> str | None:
        return _find(self.entities, name)


def _find(names: set[str], wanted: str) -> str | None:
    if wanted in names:
        return wanted
    folded = wanted.casefold()
    return next((name for name in sorted(names) if name.casefold() == folded), None)


def missing_function(kind: str, name: str, known: set[str]) -> str:
    """The extension's message for a function that the app does not have."""
    names = ", ".join(f"'{known_name}'" for known_name in sorted(known)) or "none"
    return (
        f"The function '{name}' doesn't exist, is disabled, or is not an {kind} function. "
        f"Additional info: The following are the known {kind} functions: {names}"
    )
