"""A machine's failure from its sensors."""
