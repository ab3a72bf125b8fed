"""The data-engine domain: Hadoop MapReduce and Spark benchmarks, what recorded executions teach, cost."""
