"""The examples in the API's contract. Tests submit them, so they are true."""

from pydantic import JsonValue

NOTIFICATION_EXAMPLE: dict[str, JsonValue] = {
    "recipient": {"customerId": "cust_123", "email": "ada@example.com", "phone": "+4915112345678"},
    "channels": ["email", "sms"],
    "template": {"id": "order-confirmation", "locale": "en"},
    "data": {"customerName": "Ada", "orderId": "A-1001", "orderTotal": "€ 49.90"},
    "priority": "high",
    "reference": "A-1001",
}
CALLBACK_ENDPOINT_EXAMPLE: dict[str, JsonValue] = {
    "url": "https://shop.example/hooks/notifications",
    "statuses": ["SENT", "DELIVERED", "FAILED", "BOUNCED"],
}
PREFERENCES_EXAMPLE: dict[str, JsonValue] = {
    "addresses": {"email": "ada@example.com", "phone": "+4915112345678"},
    "locale": "de",
    "timeZone": "Europe/Berlin",
    "consents": {"marketing": {"*": {"granted": False, "source": "preference-centre"}}},
    "quietHours": {"start": "22:00", "end": "07:00"},
    "fallbackOrder": ["push", "sms"],
}
