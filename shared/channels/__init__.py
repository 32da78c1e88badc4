"""The channels there are. A new one is a file beside these and a line here; see docs/adding-a-channel.md."""

from shared.channels.email import EMAIL
from shared.channels.push import PUSH
from shared.channels.slack import SLACK
from shared.channels.sms import SMS
from shared.channels.webhook import WEBHOOK
from shared.channels.whatsapp import WHATSAPP

CHANNELS = {
    channel.name: channel
    for channel in (
        EMAIL,
        SMS,
        PUSH,
        WEBHOOK,
        SLACK,
        WHATSAPP,
    )
}
