"""A client over a chain of links: queries, mutations and subscriptions as calls, on a loop and from plain threads."""
