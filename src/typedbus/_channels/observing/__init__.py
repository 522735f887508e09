"""Observing the publishes of channels: counts, durations and failures. A program that observes nothing does not load it."""
