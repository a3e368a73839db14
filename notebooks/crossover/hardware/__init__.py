"""The machine that trains: devices and their runtimes, its description, conditions and energy."""
