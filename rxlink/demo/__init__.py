"""What ``rxlink demo`` shows: operations on a real server, over tokens that keep ending.

- :mod:`~rxlink.demo.service`: the chain, the sign-in and the refresh, as a service writes them. Read this first.
- :mod:`~rxlink.demo.story`: what is run, chapter by chapter: one chapter for each token that ends.
- :mod:`~rxlink.demo.plan`: how the operations are dealt to chapters and waves.
- :mod:`~rxlink.demo.calls`: the operations, the right answer to each, and a wave of them as one stream.
- :mod:`~rxlink.demo.timeline`: what is printed; :mod:`~rxlink.demo.display`: on what.
- :mod:`~rxlink.demo.views`: the trace of it as text, SVG and HTML.
- :mod:`~rxlink.demo.summary`: what the server's ledger says in the end.
"""
