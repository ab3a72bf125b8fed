"""The real engine: server life, open-loop load client, engine metrics, offline measurement, calibration loop."""
