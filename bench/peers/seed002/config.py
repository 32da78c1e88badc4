"""Settings of all seed 002 services, from the environment as the seed's "Environment Variables" lists them."""

import os

DATABASE_URL = os.environ["NEON_DATABASE_URL"]
REDIS_URL = os.environ["REDIS_URL"]
RABBITMQ_URL = os.environ["RABBITMQ_URL"]
USER_SERVICE_URL = os.environ["USER_SERVICE_URL"]
TEMPLATE_SERVICE_URL = os.environ["TEMPLATE_SERVICE_URL"]
SENDGRID_BASE_URL = os.environ["SENDGRID_BASE_URL"]
INTERNAL_API_SECRET = os.environ["INTERNAL_API_SECRET"]
PREFETCH_COUNT = int(os.environ["PREFETCH_COUNT"])
WORKER_RENDERS = os.environ["WORKER_RENDERS"] == "true"  # else the template service, as the data flow says
CACHE_TTL_SECONDS = 3600
IDEMPOTENCY_TTL_SECONDS = 24 * 3600
EMAIL_QUEUE = "email.queue"
FAILED_QUEUE = "failed.queue"
EXCHANGE = "notifications"
