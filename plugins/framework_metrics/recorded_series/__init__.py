"""Series that were recorded elsewhere: `nvidia-smi dmon`, `nvidia-smi --query-gpu`, and tables of columns."""
