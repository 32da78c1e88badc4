"""Service Bus emulator: AMQP 1.0 on a local port, spoken by the unmodified Azure SDKs; see README.md."""
