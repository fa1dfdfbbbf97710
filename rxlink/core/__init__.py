"""The framework: links, operations, and how a chain runs. It knows no particular link."""
