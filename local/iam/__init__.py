"""The part of IAM that the templates use: what a call needs, and what a role allows."""
