"""Observation of publishes: counts, durations and failures. It is imported with the first observation or tracing."""
