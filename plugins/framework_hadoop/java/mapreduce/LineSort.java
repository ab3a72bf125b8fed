package framework.mapreduce;

import java.io.IOException;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.NullWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapreduce.Job;

/** Sorts lines of text: identity functions, hash partitions, so each output file is sorted in itself. */
final class LineSort {
  private LineSort() {}

  static void run(Jobs jobs) throws Exception {
    Job job = jobs.create("sort", jobs.input(), jobs.output());
    job.setMapperClass(LineAsKey.class);
    job.setReducerClass(EachLine.class);
    job.setOutputValueClass(NullWritable.class);
    jobs.run(job, Jobs.Phase.RUN);
    Validate.run(jobs, Validate.Kind.LINES, jobs.output());
  }

  static final class LineAsKey extends TaskTrace.Traced.MapperOf<LongWritable, Text, Text, NullWritable> {
    @Override
    protected void map(LongWritable offset, Text line, Context context) throws IOException, InterruptedException {
      context.write(line, NullWritable.get());
    }
  }

  static final class EachLine extends TaskTrace.Traced.ReducerOf<Text, NullWritable, Text, NullWritable> {
    @Override
    protected void reduce(Text line, Iterable<NullWritable> copies, Context context)
        throws IOException, InterruptedException {
      for (NullWritable copy : copies) {
        context.write(line, copy);
      }
    }
  }
}
