"""Pure functions on data frames: tables, crossovers, models of time, ablations."""
