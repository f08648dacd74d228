"""Ways of combining detectors, over their scores and features: nothing here runs a network."""
