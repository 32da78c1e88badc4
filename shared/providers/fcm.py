"""Push by Firebase Cloud Messaging directly: takes an attempt for one device, gives its acceptance.

HTTP v1: https://firebase.google.com/docs/reference/fcm/rest/v1/projects.messages/send
Error codes: https://firebase.google.com/docs/reference/fcm/rest/v1/ErrorCode (both read 2026-11-25)

It carries devices with FCM tokens (Android, and iOS apps that use Firebase) and leaves APNs tokens to others. Unlike a
hub it says at once when a token is no longer valid. Receipts are acknowledgements by the customer's mobile backend
(push_acknowledgement.py).

Unverified against the real service: all of it; written from the documentation.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import quote

import orjson

from shared.domain.address import Devices
from shared.domain.capabilities import Capabilities
from shared.domain.errors import InDoubt, Misconfigured, ProviderError, Rejected, Throttled, Transient
from shared.domain.receipt import Receipt
from shared.ports import Accepted, HttpAnswer, HttpClient, OutboundMessage, ReceiptRequest
from shared.providers.google_access_token import AccessTokens, ServiceAccount
from shared.providers.provider_answer import Failure, failure_of, is_success, json_object, retry_after, utc_now
from shared.providers.provider_settings import base_url, own_settings, webhook_secrets
from shared.providers.push_acknowledgement import Acknowledgements
from shared.providers.push_payload import fcm_message, push_content

CALL_TIMEOUT = timedelta(seconds=20)
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
QUOTA_PAUSE = timedelta(seconds=60)  # what the documentation asks for where the answer names no time
CAPABILITIES = Capabilities(platforms=("fcm",))

# By the errorCode in the answer's details, which says more than the status it comes with.
CODES: Mapping[str, Failure] = {
    "INVALID_ARGUMENT": (Rejected, "invalid_request"),
    "UNREGISTERED": (Rejected, "device_unregistered"),
    "SENDER_ID_MISMATCH": (Rejected, "sender_id_mismatch"),  # the token belongs to another Firebase project
    "QUOTA_EXCEEDED": (Throttled, "quota_exceeded"),
    "UNAVAILABLE": (Transient, "provider_unavailable"),
    "INTERNAL": (Transient, "provider_unavailable"),
    "THIRD_PARTY_AUTH_ERROR": (Misconfigured, "third_party_auth_failed"),  # the project's APNs or web push key
}
# Used when the answer names no code of the table above.
STATUSES: Mapping[int, Failure] = {
    400: (Rejected, "invalid_request"),
    401: (Misconfigured, "authentication_failed"),
    403: (Misconfigured, "permission_refused"),
    404: (Misconfigured, "project_not_found"),
    413: (Rejected, "content_too_large"),
    429: (Throttled, "quota_exceeded"),
}
_FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
_BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
_UNAUTHENTICATED = 401


@dataclass(frozen=True, slots=True)
class FcmSettings:
    """One Firebase project."""

    base_url: str
    token_base_url: str
    account: ServiceAccount = field(repr=False)
    receipt_secrets: Sequence[str] = field(repr=False)


def from_settings(settings: Mapping[str, str], http: HttpClient, guarded: HttpClient) -> "Fcm | None":  # noqa: ARG001 - one shape for all providers
    """The provider, or None when no FCM_ setting is present.

    Raises:
        ValueError: a setting is missing or malformed; names it.
    """
    own = own_settings(settings, "FCM_BASE_URL", "FCM_TOKEN_BASE_URL", "FCM_SERVICE_ACCOUNT", "FCM_RECEIPT_SECRET")
    if own is None:
        return None
    return Fcm(
        FcmSettings(
            base_url=base_url("FCM_BASE_URL", own["FCM_BASE_URL"]),
            token_base_url=base_url("FCM_TOKEN_BASE_URL", own["FCM_TOKEN_BASE_URL"]),
            account=ServiceAccount.of_json("FCM_SERVICE_ACCOUNT", own["FCM_SERVICE_ACCOUNT"]),
            receipt_secrets=webhook_secrets("FCM_RECEIPT_SECRET", own["FCM_RECEIPT_SECRET"]),
        ),
        http,
    )


class Fcm:
    """Carries push notifications to devices with FCM tokens."""

    name = "fcm"
    channel = "push"
    capabilities = CAPABILITIES

    def __init__(self, settings: FcmSettings, http: HttpClient, now: Callable[[], datetime] = utc_now) -> None:
        project = quote(settings.account.project_id, safe="")
        self._url = f"{settings.base_url}/v1/projects/{project}/messages:send"
        self._tokens = AccessTokens(settings.account, f"{settings.token_base_url}/token", SCOPE, http, now)
        self._acknowledgements = Acknowledgements(self.name, settings.receipt_secrets)
        self._http = http
        self._now = now

    async def send(self, message: OutboundMessage) -> Accepted:
        """Hand one push notification to FCM, for one device; the pipeline calls once for each.

        Raises:
            Transient, Throttled, Rejected, Misconfigured, InDoubt: by the tables above.
        """
        body = self._body(message)
        token = await self._tokens.token()
        headers = {"authorization": f"Bearer {token}", "content-type": "application/json"}
        answer = await self._http.post(self._url, headers=headers, body=body, timeout=CALL_TIMEOUT)
        if not is_success(answer):
            raise self._failure(answer, token)
        if not answer.body.lstrip().startswith(b"{"):
            raise InDoubt("malformed_answer")  # something between us and Google may have answered
        name = json_object(answer.body).get("name")
        return Accepted(name.rpartition("/")[2] if isinstance(name, str) else None)

    def _body(self, message: OutboundMessage) -> bytes:
        push_content(message)
        if not isinstance(message.address, Devices):
            raise Rejected("platform_not_supported", elsewhere=True)
        [device] = message.address.tokens
        if device.platform != "fcm":
            raise Rejected("platform_not_supported", elsewhere=True)
        return orjson.dumps({"message": {"token": device.token, **fcm_message(message, self._now())}})

    def _failure(self, answer: HttpAnswer, token: str) -> ProviderError:
        details = _details(answer.body)
        code = details.get(_FCM_ERROR, {}).get("errorCode")
        listed = CODES.get(code) if isinstance(code, str) else None
        if listed is None:
            if answer.status == _UNAUTHENTICATED:
                self._tokens.forget(token)
            return failure_of(self.name, STATUSES, answer, self._now())
        kind, reason = listed
        wait = retry_after(answer.headers, self._now())
        if code == "QUOTA_EXCEEDED":
            return kind(reason, retry_after=QUOTA_PAUSE if wait is None else wait)
        if code == "INVALID_ARGUMENT" and _is_about_the_token(details, answer.body):
            reason = "invalid_address"
        return kind(reason, retry_after=wait)

    def verify(self, request: ReceiptRequest, now: datetime) -> None:
        """Nothing when the mobile backend signed the request. Raises ReceiptNotAuthentic."""
        self._acknowledgements.verify(request, now)

    def parse(self, request: ReceiptRequest) -> Sequence[Receipt]:
        """The one event in a verified request. Raises InvalidSubmission."""
        return self._acknowledgements.parse(request)


def _details(body: bytes) -> Mapping[str, Mapping[str, object]]:
    """The details of an error by their type."""
    error = json_object(body).get("error")
    details = error.get("details") if isinstance(error, dict) else None
    listed = details if isinstance(details, list) else []
    return {str(each.get("@type")): each for each in listed if isinstance(each, dict)}


def _is_about_the_token(details: Mapping[str, Mapping[str, object]], body: bytes) -> bool:
    """Whether the argument at fault is the token: said by field, or in the text of an error that names no field."""
    violations = details.get(_BAD_REQUEST, {}).get("fieldViolations")
    if isinstance(violations, list) and violations:
        return all(isinstance(each, dict) and each.get("field") == "message.token" for each in violations)
    return b"registration token" in body
