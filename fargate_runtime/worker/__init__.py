"""Celery worker: consume tasks only under ECS task scale-in protection."""
