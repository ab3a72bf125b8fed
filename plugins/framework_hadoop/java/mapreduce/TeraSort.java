package framework.mapreduce;

import java.io.IOException;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.BytesWritable;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.lib.partition.InputSampler;
import org.apache.hadoop.mapreduce.lib.partition.TotalOrderPartitioner;

/** TeraSort: partitions by sampled keys, so that the output files, one after the other, are sorted as a whole. */
final class TeraSort {
  private static final int SAMPLES = 100_000;
  private static final int SAMPLED_SPLITS = 10;

  private TeraSort() {}

  static void run(Jobs jobs) throws Exception {
    Job job = jobs.create("terasort", jobs.input(), jobs.output());
    job.setInputFormatClass(Records.Input.class);
    job.setOutputFormatClass(Records.Output.class);
    job.setMapperClass(Identity.class);
    job.setReducerClass(EachRecord.class);
    job.setOutputKeyClass(BytesWritable.class);
    job.setOutputValueClass(BytesWritable.class);
    Path partitions = new Path(jobs.output().getParent(), jobs.output().getName() + ".partitions");
    if (job.getNumReduceTasks() > 1) {
      partitions = partitions.getFileSystem(jobs.conf).makeQualified(partitions);
      TotalOrderPartitioner.setPartitionFile(job.getConfiguration(), partitions);
      // the first records of the splits, as TeraSort does: keys are random there, and it is the same every time
      InputSampler.writePartitionFile(job, new InputSampler.SplitSampler<>(SAMPLES, SAMPLED_SPLITS));
      job.addCacheFile(partitions.toUri());
      job.setPartitionerClass(TotalOrderPartitioner.class);
    }
    jobs.run(job, Jobs.Phase.RUN);
    jobs.delete(partitions);
    Validate.run(jobs, Validate.Kind.RECORDS, jobs.output());
  }

  static final class Identity
      extends TaskTrace.Traced.MapperOf<BytesWritable, BytesWritable, BytesWritable, BytesWritable> {}

  static final class EachRecord
      extends TaskTrace.Traced.ReducerOf<BytesWritable, BytesWritable, BytesWritable, BytesWritable> {
    @Override
    protected void reduce(BytesWritable key, Iterable<BytesWritable> values, Context context)
        throws IOException, InterruptedException {
      for (BytesWritable value : values) {
        context.write(key, value);
      }
    }
  }
}
