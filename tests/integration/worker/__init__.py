"""The worker on a real Redis, in real processes that are really killed."""
