"""Settings of the Celery pipeline, from the environment."""

import os

DATABASE_DSN = os.environ["DATABASE_DSN"]
REDIS_URL = os.environ["REDIS_URL"]
SENDGRID_BASE_URL = os.environ["SENDGRID_BASE_URL"]
