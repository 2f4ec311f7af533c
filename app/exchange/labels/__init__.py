"""Label files of public data sets: one module each, text kept so that it goes out as it came."""
