"""What a chain costs, in ratios measured in one run: ``python -m benchmarks [question ...]``.

One question per module; `docs/benchmarks.md` says what each measures and how to read it.
"""
