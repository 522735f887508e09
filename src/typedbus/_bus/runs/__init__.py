"""
The runs of a bus: functions that it calls when it has STARTED, asks to end when it stops, and calls again by a policy.

`window` decides whether and when a run is called again; `sessions` calls it, in a thread or as a task; `run` has the
state of one run; `supervisor` has the runs of a bus. Imported with the first run, through `_bus.lazy_runs`.
"""
