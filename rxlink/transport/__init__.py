"""Terminating links, one module each under its Apollo name; the only users of aiohttp."""
