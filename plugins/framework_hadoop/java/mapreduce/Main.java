package framework.mapreduce;

import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapreduce.Cluster;
import org.apache.hadoop.util.GenericOptionsParser;

/**
 * The program that the backend starts: {@code Main [-D property=value ...] generate|run BENCHMARK}.
 *
 * <p>Everything else is a property: {@code framework.input}, {@code framework.output}, {@code framework.report}
 * (a local file that receives one JSON object a line, see {@link Report}) and the benchmarks' own ones.
 * Exit status 0: done; 1: a job failed; 2: bad arguments.
 */
public final class Main {
  private Main() {}

  public static void main(String[] arguments) throws Exception {
    Configuration conf = new Configuration();
    String[] words = new GenericOptionsParser(conf, arguments).getRemainingArgs();
    if (words.length != 2) {
      System.err.println("usage: Main [-D property=value ...] generate|run BENCHMARK");
      System.exit(2);
    }
    Thread.setDefaultUncaughtExceptionHandler(Main::fatal); // the job runner's own threads would die unseen
    try (Report report = new Report(conf)) {
      Jobs jobs = new Jobs(conf, report);
      connect(conf);
      if (words[0].equals("generate")) {
        Generate.run(jobs, words[1]);
      } else {
        Benchmarks.run(jobs, words[1]);
        if (!conf.getBoolean("framework.keep.output", false)) {
          jobs.delete(jobs.output());
        }
      }
    } catch (JobFailedException failed) {
      System.err.println(failed.getMessage());
      System.exit(1);
    }
    System.exit(0);
  }

  /** Opens file system and job runner before the clock starts: their classes load once, whatever the benchmark. */
  private static void connect(Configuration conf) throws Exception {
    FileSystem.get(conf).exists(new Path("/"));
    new Cluster(conf).close();
  }

  private static void fatal(Thread thread, Throwable error) {
    System.err.println("thread " + thread.getName() + " died");
    error.printStackTrace();
    Runtime.getRuntime().halt(1);
  }
}
