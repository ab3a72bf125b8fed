package framework.mapreduce;

import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.lib.input.FileInputFormat;
import org.apache.hadoop.mapreduce.lib.output.FileOutputFormat;

/** Creates jobs, runs them one after the other, and reports each with its counters and tasks. */
public final class Jobs {
  /** Whether a job belongs to the measured part, or makes its input, or checks its output. */
  public enum Phase { PREPARE, RUN, VALIDATE }

  private static volatile Job running;

  final Configuration conf;
  final Report report;

  public Jobs(Configuration conf, Report report) {
    this.conf = conf;
    this.report = report;
    Runtime.getRuntime().addShutdownHook(new Thread(Jobs::killRunning));
  }

  static void killRunning() {
    Job job = running;
    if (job != null && !"local".equals(job.getConfiguration().get("mapreduce.framework.name"))) {
      try {
        job.killJob();
      } catch (Exception gone) {
        System.err.println("could not kill " + job.getJobID() + ": " + gone);
      }
    }
  }

  public Configuration conf() {
    return conf;
  }

  Path input() {
    return new Path(conf.get("framework.input"));
  }

  Path output() {
    return new Path(conf.get("framework.output"));
  }

  /** A job that reads and writes folders; Text to Text unless the caller says otherwise. */
  Job create(String step, Path in, Path out) throws Exception {
    Job job = Job.getInstance(conf, step);
    job.setJarByClass(Main.class);
    if (in != null) {
      FileInputFormat.addInputPath(job, in);
    }
    FileOutputFormat.setOutputPath(job, out);
    job.setOutputKeyClass(Text.class);
    job.setOutputValueClass(Text.class);
    return job;
  }

  /** Runs a job to its end and reports it. */
  void run(Job job, Phase phase) throws Exception {
    long submitted = System.currentTimeMillis();
    TaskTrace.clear();
    boolean succeeded = false;
    String error = null;
    running = job;
    try {
      succeeded = job.waitForCompletion(false);
    } catch (Exception refused) {
      error = refused.toString();
      throw new JobFailedException(job.getJobName() + ": " + error);
    } finally {
      running = null;
      reportJob(job, phase, submitted, succeeded, error);
    }
    if (!succeeded) {
      throw new JobFailedException(job.getJobName() + " (" + job.getJobID() + ") failed");
    }
  }

  private void reportJob(Job job, Phase phase, long submitted, boolean succeeded, String error) throws Exception {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("job_id", String.valueOf(job.getJobID()));
    line.put("step", job.getJobName());
    line.put("phase", phase.name().toLowerCase());
    line.put("submitted_ms", submitted);
    line.put("finished_ms", System.currentTimeMillis());
    line.put("succeeded", succeeded);
    line.put("reduces", job.getNumReduceTasks());
    line.put("error", error);
    line.put("counters", error == null ? Report.nested(job.getCounters()) : null);
    report.line("job", line);
    for (Map<String, Object> task : TaskTrace.finished()) {
      task.put("job_id", String.valueOf(job.getJobID()));
      report.line("task", task);
    }
    if (error == null) {
      HistoryFile.fetch(job, conf);
    }
  }

  void delete(Path path) throws Exception {
    FileSystem files = path.getFileSystem(conf);
    files.delete(path, true);
  }
}
