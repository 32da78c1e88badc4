"""Who carries messages out. A new provider is one file in this folder and one line in ``PROVIDERS``.

See docs/adding-a-provider.md and docs/providers.md.
"""

from collections.abc import Callable, Mapping

from shared.ports import HttpClient, Provider
from shared.providers import (
    acs_email,
    acs_sms,
    fcm,
    notification_hubs,
    sendgrid,
    slack,
    smtp,
    twilio,
    twilio_whatsapp,
    webhook,
)

ProviderFactory = Callable[[Mapping[str, str], HttpClient, HttpClient], Provider | None]

PROVIDERS: tuple[ProviderFactory, ...] = (
    sendgrid.from_settings,
    acs_email.from_settings,
    smtp.from_settings,
    twilio.from_settings,
    acs_sms.from_settings,
    notification_hubs.from_settings,
    fcm.from_settings,
    webhook.from_settings,
    slack.from_settings,
    twilio_whatsapp.from_settings,
)


def configured_providers(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> tuple[Provider, ...]:
    """Every provider that ``settings`` configure, in the order of preference within a channel.

    Args:
        settings: names and values as in the environment.
        http: the client for addresses that settings name.
        guarded: the client for addresses that customers and consumers name.

    Raises:
        ValueError: a provider is half configured; names the setting, shows no value.
    """
    built = (factory(settings, http, guarded) for factory in PROVIDERS)
    return tuple(provider for provider in built if provider is not None)
