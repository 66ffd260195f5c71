"""What was typed becomes ordered requests: options, templates, what is known of models, axes, tables and plans.

All of it is values in, values out; no network, clock, randomness or IPython is ever used here, no file is opened but a
CSV that somebody named, and pandas is touched on demand alone.
"""
