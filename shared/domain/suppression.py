"""Decisions not to send, by their reason: what each means, and what the consumer is called about.

Any text may be a reason; those below are the ones that something else in this service depends on.
"""

from enum import StrEnum


class Suppression(StrEnum):
    """Why a delivery is not sent."""

    NOT_NEEDED = "not_needed"  # an earlier channel of the same notification reached the customer
    DEADLINE_PASSED = "deadline_passed"  # it was not sent in time, and the next channel took over
    EARLIER_IN_DOUBT = "earlier_in_doubt"  # an earlier channel may have reached the customer; nobody will ever know
    SHADOW_MODE = "shadow_mode"  # the tenant's policy is to decide and record everything and to send nothing
    OPTED_OUT = "opted_out"  # the customer does not want it
    ADDRESS_UNSUBSCRIBED = "address_unsubscribed"  # whoever has the address said stop, to us or to a provider
    ADDRESS_COMPLAINED = "address_complained"  # whoever has the address called an earlier message spam
    ADDRESS_BOUNCED = "address_bounced"  # the address does not exist: an earlier message came back for good
    FREQUENCY_CAP = "frequency_cap"  # the customer has had as many of these as the tenant's policy allows
    SPEND_CAP = "spend_cap"  # it would cost more than the tenant's policy allows in 24 hours
    COUNTRY_NOT_ALLOWED = "country_not_allowed"  # the tenant's policy lists countries, and this is none of them
    LOW_DELIVERY = "low_delivery"  # hardly any SMS to the country arrived lately, which looks like fraud
    TOO_MANY_TO_COUNTRY = "too_many_to_country"  # so many wait for their country's turn that this one's is too far off


PUT_OFF = "put_off_by_customer"  # no suppression: the customer does not want to be disturbed before a certain time

# What a consumer hears of; None for nothing. They are not told of channels that were never meant to be used, nor, while
# another system does the sending, of what this one would have done. Everything else is a failure with its reason.
_OUTWARD: dict[str | None, str | None] = {
    Suppression.NOT_NEEDED: None,
    Suppression.EARLIER_IN_DOUBT: None,
    Suppression.SHADOW_MODE: None,
    Suppression.OPTED_OUT: "UNSUBSCRIBED",
    Suppression.ADDRESS_UNSUBSCRIBED: "UNSUBSCRIBED",
    Suppression.ADDRESS_COMPLAINED: "UNSUBSCRIBED",
}


def outward_of_suppression(reason: str | None) -> str | None:
    """The word of the callback contract for a suppression; None when nobody is called."""
    return _OUTWARD.get(reason, "FAILED")
