"""The stages that all cases share: train, explain, release."""
