"""The size of the synthetic data folder."""

PATIENTS = 14
