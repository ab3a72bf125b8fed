package framework.mapreduce;

import java.io.IOException;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.hadoop.mapreduce.lib.output.FileOutputCommitter;
import org.apache.hadoop.mapreduce.lib.output.PathOutputCommitter;
import org.apache.hadoop.mapreduce.lib.output.PathOutputCommitterFactory;

/**
 * Hadoop's file committer, which also notes when a task is set up and when it is done.
 *
 * <p>Chosen by {@code mapreduce.outputcommitter.factory.class}, in local mode only. A task asks whether it must
 * commit after its last spill is merged and its counters are final: that is its end.
 */
public final class TracingCommitters extends PathOutputCommitterFactory {
  @Override
  public PathOutputCommitter createOutputCommitter(Path output, TaskAttemptContext task) throws IOException {
    return new Tracing(output, task);
  }

  private static final class Tracing extends FileOutputCommitter {
    Tracing(Path output, TaskAttemptContext task) throws IOException {
      super(output, task);
    }

    @Override
    public void setupTask(TaskAttemptContext task) throws IOException {
      TaskTrace.begin(task);
      super.setupTask(task);
    }

    @Override
    public boolean needsTaskCommit(TaskAttemptContext task) throws IOException {
      TaskTrace.end(task, true);
      return super.needsTaskCommit(task);
    }

    @Override
    public void abortTask(TaskAttemptContext task) throws IOException {
      TaskTrace.end(task, false);
      super.abortTask(task);
    }
  }
}
