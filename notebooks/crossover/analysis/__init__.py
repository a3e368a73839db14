"""Pure functions on data frames: tables, crossovers, models of time, parts of a step.

A frame of ``trials`` has one row a trial, as `crossover.records.frame.to_frame` makes it.
"""
