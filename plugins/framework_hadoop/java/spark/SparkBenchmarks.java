package framework.spark;

import framework.mapreduce.Grep;
import framework.mapreduce.KMeans;
import framework.mapreduce.Records;
import framework.mapreduce.Report;
import framework.mapreduce.Jobs;
import framework.mapreduce.Validate;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.BytesWritable;
import org.apache.spark.HashPartitioner;
import org.apache.spark.api.java.JavaPairRDD;
import org.apache.spark.api.java.JavaRDD;
import org.apache.spark.api.java.JavaSparkContext;
import org.apache.spark.broadcast.Broadcast;
import scala.Tuple2;

/** The benchmarks of the MapReduce programs in Spark's terms: same input, same output, same checks. */
final class SparkBenchmarks {
  private static final double DAMPING = 0.85;

  private final JavaSparkContext spark;
  private final Configuration conf;
  private final Report report;
  private final String input;
  private final String output;
  private final boolean combiner;

  SparkBenchmarks(JavaSparkContext spark, Configuration conf, Report report) {
    this.spark = spark;
    this.conf = conf;
    this.report = report;
    input = conf.get("framework.input");
    output = conf.get("framework.output");
    combiner = conf.getBoolean("framework.combiner", true);
  }

  void run(String benchmark) throws Exception {
    switch (benchmark) {
      case "wordcount":
        summed(lines().flatMap(line -> Arrays.asList(line.split(" ")).iterator()).filter(word -> !word.isEmpty()))
            .map(pair -> pair._1 + "\t" + pair._2).saveAsTextFile(output);
        break;
      case "sort":
        lines().mapToPair(line -> new Tuple2<>(line, (Object) null))
            .repartitionAndSortWithinPartitions(new HashPartitioner(partitions())).keys().saveAsTextFile(output);
        break;
      case "terasort":
        terasort();
        break;
      case "grep":
        grep();
        break;
      case "pagerank":
        pagerank();
        break;
      case "kmeans":
        kmeans();
        break;
      case "dfsio":
        SparkDfsIo.run(spark, conf, report);
        break;
      default:
        throw new IllegalArgumentException("no benchmark named " + benchmark);
    }
  }

  /** The checks of the MapReduce programs; k-means and DFSIO report what theirs need while they run. */
  static void check(String benchmark, Jobs jobs) throws Exception {
    Path folder = new Path(jobs.conf().get("framework.output"));
    switch (benchmark) {
      case "wordcount":
        Validate.run(jobs, Validate.Kind.UNORDERED_COUNTS, folder);
        break;
      case "sort":
        Validate.run(jobs, Validate.Kind.LINES, folder);
        break;
      case "terasort":
        Validate.run(jobs, Validate.Kind.RECORDS, folder);
        break;
      case "grep":
        Validate.run(jobs, Validate.Kind.FALLING_COUNTS, folder);
        Grep.recount(jobs);
        break;
      case "pagerank":
        Validate.run(jobs, Validate.Kind.RANKS, folder);
        break;
      default:
    }
  }

  private JavaRDD<String> lines() {
    return spark.textFile(input);
  }

  private int partitions() {
    return spark.defaultParallelism();
  }

  /** Counts of equal keys, added up before the shuffle or only after it. */
  private JavaPairRDD<String, Long> summed(JavaRDD<String> keys) {
    JavaPairRDD<String, Long> ones = keys.mapToPair(key -> new Tuple2<>(key, 1L));
    if (combiner) {
      return ones.reduceByKey(Long::sum, partitions());
    }
    return ones.groupByKey(partitions()).mapValues(counts -> {
      long sum = 0;
      for (long count : counts) {
        sum += count;
      }
      return sum;
    });
  }

  private void terasort() {
    spark.newAPIHadoopFile(input, Records.Input.class, BytesWritable.class, BytesWritable.class, conf)
        .mapToPair(pair -> new Tuple2<>(new Key(pair._1.copyBytes()), pair._2.copyBytes()))
        .sortByKey(true, partitions())
        .mapToPair(pair -> new Tuple2<>(new BytesWritable(pair._1.bytes), new BytesWritable(pair._2)))
        .saveAsNewAPIHadoopFile(output, BytesWritable.class, BytesWritable.class, Records.Output.class, conf);
  }

  private void grep() {
    String pattern = conf.get("framework.pattern");
    JavaRDD<String> matches = lines().mapPartitions(lines -> {
      Pattern compiled = Pattern.compile(pattern);
      List<String> found = new ArrayList<>();
      lines.forEachRemaining(line -> {
        Matcher matcher = compiled.matcher(line);
        while (matcher.find()) {
          found.add(matcher.group());
        }
      });
      return found.iterator();
    });
    summed(matches).mapToPair(Tuple2::swap).sortByKey(false, 1)
        .map(pair -> pair._1 + "\t" + pair._2).saveAsTextFile(output);
  }

  private void pagerank() {
    long nodes = conf.getLong("framework.nodes", 1);
    HashPartitioner partitioner = new HashPartitioner(partitions());
    JavaPairRDD<Long, long[]> links = lines().mapToPair(line -> {
      int tab = line.indexOf('\t');
      long[] to = Arrays.stream(line.substring(tab + 1).split(",")).mapToLong(Long::parseLong).toArray();
      return new Tuple2<>(Long.parseLong(line.substring(0, tab)), to);
    }).partitionBy(partitioner).cache();
    JavaPairRDD<Long, Double> ranks = links.mapValues(to -> 1.0 / nodes);
    for (int i = 1; i <= conf.getInt("framework.iterations", 3); i++) {
      ranks = links.join(ranks).flatMapToPair(node -> {
        long[] to = node._2._1;
        List<Tuple2<Long, Double>> shares = new ArrayList<>();
        shares.add(new Tuple2<>(node._1, 0.0)); // a node that nobody links to keeps a rank
        for (long link : to) {
          shares.add(new Tuple2<>(link, node._2._2 / to.length));
        }
        return shares.iterator();
      }).reduceByKey(partitioner, Double::sum).mapValues(mass -> (1 - DAMPING) / nodes + DAMPING * mass);
    }
    ranks.map(node -> node._1 + "\t" + node._2).saveAsTextFile(output);
  }

  private void kmeans() throws Exception {
    JavaRDD<double[]> points = lines().map(KMeans::parsed).cache();
    double[][] centroids =
        lines().take(conf.getInt("framework.clusters", 10)).stream().map(KMeans::parsed).toArray(double[][]::new);
    for (int i = 1; i <= conf.getInt("framework.iterations", 3); i++) {
      Broadcast<double[][]> known = spark.broadcast(centroids);
      // sums of the coordinates, then the number of points, then the sum of squared distances
      List<Tuple2<Integer, double[]>> clusters = points.mapToPair(point -> {
        double[] distance = new double[1];
        int nearest = KMeans.nearest(point, known.value(), distance);
        double[] sums = Arrays.copyOf(point, point.length + 2);
        sums[point.length] = 1;
        sums[point.length + 1] = distance[0];
        return new Tuple2<>(nearest, sums);
      }).reduceByKey((a, b) -> {
        double[] sum = new double[a.length];
        Arrays.setAll(sum, j -> a[j] + b[j]);
        return sum;
      }, partitions()).collect();
      long count = 0;
      double inertia = 0;
      for (Tuple2<Integer, double[]> cluster : clusters) {
        double[] sums = cluster._2;
        int dimensions = sums.length - 2;
        double[] mean = new double[dimensions];
        Arrays.setAll(mean, j -> sums[j] / sums[dimensions]);
        centroids[cluster._1] = mean;
        count += (long) sums[dimensions];
        inertia += sums[dimensions + 1];
      }
      report.fact("points_" + i, count);
      report.fact("inertia_" + i, inertia);
    }
    spark.parallelize(Arrays.asList(centroids), 1).map(KMeans::joined).saveAsTextFile(output);
  }
}
