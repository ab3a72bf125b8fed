package framework.spark;

import framework.mapreduce.Jobs;
import framework.mapreduce.Report;
import org.apache.hadoop.conf.Configuration;
import org.apache.spark.SparkConf;
import org.apache.spark.api.java.JavaSparkContext;

/**
 * The program that the backend hands to spark-submit: {@code SparkMain BENCHMARK}.
 *
 * <p>Its properties come as {@code spark.hadoop.framework.*}, which Spark puts into the Hadoop configuration. Jobs,
 * stages and tasks are told by Spark's event log; the output is checked by the MapReduce jobs that check Hadoop's.
 */
public final class SparkMain {
  private SparkMain() {}

  public static void main(String[] words) throws Exception {
    String benchmark = words[0];
    Configuration conf;
    try (JavaSparkContext spark = new JavaSparkContext(new SparkConf().setAppName(benchmark))) {
      conf = new Configuration(spark.hadoopConfiguration());
      try (Report report = new Report(conf)) {
        report.fact("spark_version", spark.version());
        report.fact("application_id", spark.sc().applicationId());
        new SparkBenchmarks(spark, conf, report).run(benchmark);
        conf.set("mapreduce.framework.name", "local");
        SparkBenchmarks.check(benchmark, new Jobs(conf, report));
      }
    }
    System.exit(0);
  }
}
