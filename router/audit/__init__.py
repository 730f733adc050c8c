"""The audit log: who saw and did what, chained so that a change of it shows."""
