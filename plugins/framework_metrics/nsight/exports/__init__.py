"""What `nsys` and `ncu` export, read into tables."""
