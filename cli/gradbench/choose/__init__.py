"""Which sampler for a model: a race in rounds, a check that those left agree, fresh replicates."""
