"""Non-terminating links, one module each under its Apollo name; strangers to one another."""
