"""What a number is made by: hashes of the code that was executed and of the code that derives metrics."""
