"""Bridges to other people's libraries; each module needs an extra of its own."""
