package framework.mapreduce;

import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.NullWritable;
import org.apache.hadoop.mapreduce.Job;

/**
 * TestDFSIO: one map task a file writes it, then a second job reads all of them back.
 *
 * <p>As in the original, throughput is all bytes over the sum of the tasks' times, and the average I/O rate is the
 * mean of the tasks' own rates; both times count the streams only, not the tasks around them.
 */
final class DfsIo {
  /** Bytes, microseconds, rate in bytes a second, and the content's CRC-32C, summed over files. */
  enum Io {
    WRITE_BYTES, WRITE_MICROS, WRITE_RATE, WRITE_CHECKSUM, READ_BYTES, READ_MICROS, READ_RATE, READ_CHECKSUM
  }

  private static final String FOLDER = "framework.dfsio.folder";

  private DfsIo() {}

  static void run(Jobs jobs) throws Exception {
    Path folder = new Path(jobs.output().getParent(), jobs.output().getName() + ".files");
    jobs.conf.set(FOLDER, folder.toString());
    jobs.conf.set("framework.kind", "files"); // one block of Generate.Blocks is one file here
    step(jobs, "dfsio_write", Write.class);
    step(jobs, "dfsio_read", Read.class);
    jobs.delete(folder);
  }

  private static void step(Jobs jobs, String name, Class<? extends FileTask> mapper) throws Exception {
    Job job = jobs.create(name, null, new Path(jobs.output(), name));
    job.setInputFormatClass(Generate.Blocks.class);
    job.setMapperClass(mapper);
    job.setNumReduceTasks(0);
    jobs.run(job, Jobs.Phase.RUN);
  }

  /** Handles the files whose numbers it is given. */
  private abstract static class FileTask
      extends TaskTrace.Traced.MapperOf<LongWritable, NullWritable, NullWritable, NullWritable> {
    static void count(Context context, FileIo.Moved moved, Io bytes, Io micros, Io rate, Io checksum) {
      context.getCounter(bytes).increment(moved.bytes);
      context.getCounter(micros).increment(moved.micros);
      context.getCounter(rate).increment(moved.rate());
      context.getCounter(checksum).increment(moved.checksum);
    }

    static Path folder(Configuration conf) {
      return new Path(conf.get(FOLDER));
    }
  }

  static final class Write extends FileTask {
    @Override
    protected void map(LongWritable number, NullWritable none, Context context) throws IOException {
      Configuration conf = context.getConfiguration();
      FileIo.Moved moved = FileIo.write(conf, folder(conf), number.get());
      count(context, moved, Io.WRITE_BYTES, Io.WRITE_MICROS, Io.WRITE_RATE, Io.WRITE_CHECKSUM);
    }
  }

  static final class Read extends FileTask {
    @Override
    protected void map(LongWritable number, NullWritable none, Context context) throws IOException {
      Configuration conf = context.getConfiguration();
      FileIo.Moved moved = FileIo.read(conf, folder(conf), number.get());
      count(context, moved, Io.READ_BYTES, Io.READ_MICROS, Io.READ_RATE, Io.READ_CHECKSUM);
    }
  }
}
