"""Where a run's GPU time goes, and how far its kernels are from the roofline."""
