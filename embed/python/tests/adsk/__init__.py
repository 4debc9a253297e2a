"""A stand-in for Fusion's API: as much of it as the example add-in uses."""
