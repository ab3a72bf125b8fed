package framework.mapreduce;

import java.io.BufferedReader;
import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.io.InputStreamReader;
import java.util.Arrays;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.IntWritable;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.io.Writable;
import org.apache.hadoop.mapreduce.Job;

/** Lloyd's k-means from the first k points, one job an iteration; the centroids travel in the configuration. */
public final class KMeans {
  private static final String CENTROIDS = "framework.centroids";

  private KMeans() {}

  static void run(Jobs jobs) throws Exception {
    int clusters = jobs.conf.getInt("framework.clusters", 10);
    int iterations = jobs.conf.getInt("framework.iterations", 3);
    double[][] centroids = firstPoints(jobs, clusters);
    for (int i = 1; i <= iterations; i++) {
      Path out = i == iterations ? jobs.output()
          : new Path(jobs.output().getParent(), jobs.output().getName() + ".means" + i);
      jobs.conf.set(CENTROIDS, encoded(centroids));
      Job job = jobs.create("kmeans_" + i, jobs.input(), out);
      job.setMapperClass(Assign.class);
      job.setReducerClass(Means.class);
      if (jobs.conf.getBoolean("framework.combiner", true)) {
        job.setCombinerClass(AddUp.class);
      }
      job.setMapOutputKeyClass(IntWritable.class);
      job.setMapOutputValueClass(Cluster.class);
      job.setOutputKeyClass(IntWritable.class);
      jobs.run(job, Jobs.Phase.RUN);
      readMeans(jobs, out, centroids, i);
      if (i < iterations) {
        jobs.delete(out);
      }
    }
  }

  /** The first points of the input, in the order of its files. */
  private static double[][] firstPoints(Jobs jobs, int clusters) throws IOException {
    double[][] points = new double[clusters][];
    int found = 0;
    for (FileStatus file : parts(jobs, jobs.input())) {
      try (BufferedReader lines = reader(jobs, file)) {
        for (String line = lines.readLine(); line != null && found < clusters; line = lines.readLine()) {
          points[found++] = parsed(line);
        }
      }
    }
    if (found < clusters) {
      throw new IOException("the input has " + found + " points, fewer than clusters");
    }
    return points;
  }

  /** Takes over the new centroids (an empty cluster keeps its old one), and reports sizes and inertia. */
  private static void readMeans(Jobs jobs, Path out, double[][] centroids, int iteration) throws IOException {
    long points = 0;
    double inertia = 0;
    for (FileStatus file : parts(jobs, out)) {
      try (BufferedReader lines = reader(jobs, file)) {
        for (String line = lines.readLine(); line != null; line = lines.readLine()) {
          String[] fields = line.split("\t");
          centroids[Integer.parseInt(fields[0])] = parsed(fields[3]);
          points += Long.parseLong(fields[1]);
          inertia += Double.parseDouble(fields[2]);
        }
      }
    }
    jobs.report.fact("points_" + iteration, points);
    jobs.report.fact("inertia_" + iteration, inertia);
  }

  private static FileStatus[] parts(Jobs jobs, Path folder) throws IOException {
    FileSystem files = folder.getFileSystem(jobs.conf);
    FileStatus[] parts = files.listStatus(folder, path -> path.getName().startsWith("part-"));
    Arrays.sort(parts);
    return parts;
  }

  private static BufferedReader reader(Jobs jobs, FileStatus file) throws IOException {
    FileSystem files = file.getPath().getFileSystem(jobs.conf);
    return new BufferedReader(new InputStreamReader(files.open(file.getPath()), "UTF-8"));
  }

  /** A point from its coordinates, comma-separated. */
  public static double[] parsed(String line) {
    String[] words = line.split(",");
    double[] point = new double[words.length];
    for (int i = 0; i < words.length; i++) {
      point[i] = Double.parseDouble(words[i]);
    }
    return point;
  }

  static String encoded(double[][] centroids) {
    StringBuilder text = new StringBuilder();
    for (double[] centroid : centroids) {
      text.append(text.length() == 0 ? "" : ";").append(joined(centroid));
    }
    return text.toString();
  }

  public static String joined(double[] point) {
    StringBuilder text = new StringBuilder();
    for (double coordinate : point) {
      text.append(text.length() == 0 ? "" : ",").append(coordinate);
    }
    return text.toString();
  }

  /** The nearest centroid's index, and the squared distance to it in {@code distance[0]}. */
  public static int nearest(double[] point, double[][] centroids, double[] distance) {
    int best = 0;
    distance[0] = Double.MAX_VALUE;
    for (int c = 0; c < centroids.length; c++) {
      double sum = 0;
      for (int i = 0; i < point.length; i++) {
        double difference = point[i] - centroids[c][i];
        sum += difference * difference;
      }
      if (sum < distance[0]) {
        distance[0] = sum;
        best = c;
      }
    }
    return best;
  }

  /** Points added up: how many, their coordinates' sums, the sum of squared distances to the old centroid. */
  static final class Cluster implements Writable {
    long count;
    double inertia;
    double[] sums = {};

    void add(Cluster other) {
      if (sums.length == 0) {
        sums = new double[other.sums.length];
      }
      for (int i = 0; i < sums.length; i++) {
        sums[i] += other.sums[i];
      }
      count += other.count;
      inertia += other.inertia;
    }

    @Override
    public void write(DataOutput out) throws IOException {
      out.writeLong(count);
      out.writeDouble(inertia);
      out.writeInt(sums.length);
      for (double sum : sums) {
        out.writeDouble(sum);
      }
    }

    @Override
    public void readFields(DataInput in) throws IOException {
      count = in.readLong();
      inertia = in.readDouble();
      sums = new double[in.readInt()];
      for (int i = 0; i < sums.length; i++) {
        sums[i] = in.readDouble();
      }
    }
  }

  static final class Assign extends TaskTrace.Traced.MapperOf<LongWritable, Text, IntWritable, Cluster> {
    private final IntWritable cluster = new IntWritable();
    private final Cluster one = new Cluster();
    private final double[] distance = new double[1];
    private double[][] centroids;

    @Override
    protected void setup(Context context) {
      Configuration conf = context.getConfiguration();
      centroids = Arrays.stream(conf.get(CENTROIDS).split(";")).map(KMeans::parsed).toArray(double[][]::new);
    }

    @Override
    protected void map(LongWritable offset, Text line, Context context) throws IOException, InterruptedException {
      one.sums = parsed(line.toString());
      cluster.set(nearest(one.sums, centroids, distance));
      one.count = 1;
      one.inertia = distance[0];
      context.write(cluster, one);
    }
  }

  static final class AddUp extends TaskTrace.Traced.ReducerOf<IntWritable, Cluster, IntWritable, Cluster> {
    @Override
    protected void reduce(IntWritable cluster, Iterable<Cluster> points, Context context)
        throws IOException, InterruptedException {
      Cluster sum = new Cluster();
      points.forEach(sum::add);
      context.write(cluster, sum);
    }
  }

  static final class Means extends TaskTrace.Traced.ReducerOf<IntWritable, Cluster, IntWritable, Text> {
    @Override
    protected void reduce(IntWritable cluster, Iterable<Cluster> points, Context context)
        throws IOException, InterruptedException {
      Cluster sum = new Cluster();
      points.forEach(sum::add);
      double[] mean = Arrays.stream(sum.sums).map(value -> value / sum.count).toArray();
      context.write(cluster, new Text(sum.count + "\t" + sum.inertia + "\t" + joined(mean)));
    }
  }
}
