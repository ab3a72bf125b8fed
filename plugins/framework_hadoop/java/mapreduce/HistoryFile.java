package framework.mapreduce;

import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapreduce.Job;

/** Copies a finished job's .jhist file out of the cluster's history folders, next to the report. */
final class HistoryFile {
  private static final int DEPTH_OF_DONE_FOLDERS = 4; // done/year/month/day/serial

  private HistoryFile() {}

  /** Waits for the file up to {@code framework.history.wait.s} seconds (0 in local mode: there is none). */
  static void fetch(Job job, Configuration conf) throws Exception {
    long patienceMs = 1000L * conf.getInt("framework.history.wait.s", 0);
    long deadline = System.currentTimeMillis() + patienceMs;
    while (patienceMs > 0 && System.currentTimeMillis() < deadline) {
      Path found = find(job, conf);
      if (found != null) {
        Path folder = new Path(new Path("file:" + conf.get("framework.report")).getParent(), found.getName());
        found.getFileSystem(conf).copyToLocalFile(found, folder);
        return;
      }
      Thread.sleep(500);
    }
  }

  private static Path find(Job job, Configuration conf) throws Exception {
    String staging = conf.get("yarn.app.mapreduce.am.staging-dir", "/tmp/hadoop-yarn/staging");
    String root = staging + "/history";
    String file = job.getJobID() + "*.jhist";
    StringBuilder below = new StringBuilder();
    for (int depth = 0; depth < DEPTH_OF_DONE_FOLDERS; depth++) {
      below.append("/*");
    }
    String intermediate = conf.get("mapreduce.jobhistory.intermediate-done-dir", root + "/done_intermediate");
    String done = conf.get("mapreduce.jobhistory.done-dir", root + "/done");
    for (String pattern : new String[] {intermediate + "/*/" + file, done + below + "/" + file}) {
      Path glob = new Path(pattern);
      FileSystem files = glob.getFileSystem(conf);
      FileStatus[] found = files.globStatus(glob);
      if (found != null && found.length > 0) {
        return found[0].getPath();
      }
    }
    return null;
  }
}
