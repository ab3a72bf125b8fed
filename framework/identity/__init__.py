"""What a number is made by: run keys; hashes of tables, of the code that ran, and of what derives metrics."""
