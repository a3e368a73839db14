"""Which sweeps a study lacks, and running them on one machine or a cluster."""
