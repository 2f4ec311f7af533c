"""The timeline: whole case, your tier, the model's tier, confidence, instruments. GUI thread."""
