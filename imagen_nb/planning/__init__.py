"""Pure parts: values in, values out; no I/O, no clock, no randomness, no pandas, no IPython."""
