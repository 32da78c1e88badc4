"""Plays the outside world of the notification service on 127.0.0.1.

That is: the providers, the customers' inboxes and devices, the customers' webhook endpoints and the consumers' callback
endpoints. See README.md.
"""
