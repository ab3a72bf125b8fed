package framework.mapreduce;

import java.io.IOException;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapreduce.Job;

/** Counts words; with the combiner each map task sends a word once. */
final class WordCount {
  private WordCount() {}

  static void run(Jobs jobs) throws Exception {
    Job job = jobs.create("wordcount", jobs.input(), jobs.output());
    job.setMapperClass(Words.class);
    job.setReducerClass(Sum.class);
    if (jobs.conf.getBoolean("framework.combiner", true)) {
      job.setCombinerClass(Sum.class);
    }
    job.setOutputValueClass(LongWritable.class);
    jobs.run(job, Jobs.Phase.RUN);
    Validate.run(jobs, Validate.Kind.COUNTS, jobs.output());
  }

  /** Splits a line at blanks. */
  static final class Words extends TaskTrace.Traced.MapperOf<LongWritable, Text, Text, LongWritable> {
    private static final LongWritable ONE = new LongWritable(1);
    private final Text word = new Text();

    @Override
    protected void map(LongWritable offset, Text line, Context context) throws IOException, InterruptedException {
      byte[] bytes = line.getBytes();
      int length = line.getLength();
      int start = 0;
      for (int i = 0; i <= length; i++) {
        if (i == length || bytes[i] <= ' ') {
          if (i > start) {
            word.set(bytes, start, i - start);
            context.write(word, ONE);
          }
          start = i + 1;
        }
      }
    }
  }

  /** Adds up the counts of a key. */
  static final class Sum extends TaskTrace.Traced.ReducerOf<Text, LongWritable, Text, LongWritable> {
    private final LongWritable sum = new LongWritable();

    @Override
    protected void reduce(Text key, Iterable<LongWritable> counts, Context context)
        throws IOException, InterruptedException {
      long total = 0;
      for (LongWritable count : counts) {
        total += count.get();
      }
      sum.set(total);
      context.write(key, sum);
    }
  }
}
