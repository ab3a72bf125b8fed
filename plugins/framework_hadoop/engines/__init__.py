"""MapReduce and Spark as backends: starting them, reading what they report."""
