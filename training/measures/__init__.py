"""What is measured of a model of each task, with intervals, subgroups and plots."""
