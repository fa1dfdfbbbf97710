"""Keeping a token fresh: sessions, the link that uses them, and the refresh stream between. It knows no transport."""
