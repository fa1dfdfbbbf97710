"""Results that arrive in pieces, put together: ``@apollo/client/incremental``; knows no transport."""
