"""
The runs of a bus: functions that it calls for as long as it is STARTED, and calls again by a policy.

`window` decides whether and when a run is called again; `sessions` calls it, in a thread or as a task; `run` is the
state of one run; `supervisor` has the runs of a bus. Imported with the first run: most programs have none.
"""
