package framework.mapreduce;

import java.io.IOException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.NullWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.lib.input.SequenceFileInputFormat;
import org.apache.hadoop.mapreduce.lib.output.SequenceFileOutputFormat;

/** Counts what a regular expression matches (first job), then sorts it by falling count (second job). */
public final class Grep {
  static final String PATTERN = "framework.pattern";

  private Grep() {}

  static void run(Jobs jobs) throws Exception {
    Path counted = new Path(jobs.output().getParent(), jobs.output().getName() + ".counted");
    Job search = jobs.create("grep_search", jobs.input(), counted);
    search.setMapperClass(Matches.class);
    search.setReducerClass(WordCount.Sum.class);
    if (jobs.conf.getBoolean("framework.combiner", true)) {
      search.setCombinerClass(WordCount.Sum.class);
    }
    search.setOutputValueClass(LongWritable.class);
    search.setOutputFormatClass(SequenceFileOutputFormat.class);
    jobs.run(search, Jobs.Phase.RUN);

    Job sort = jobs.create("grep_sort", counted, jobs.output());
    sort.setInputFormatClass(SequenceFileInputFormat.class);
    sort.setMapperClass(CountAsKey.class);
    sort.setReducerClass(MatchBehindCount.class);
    sort.setSortComparatorClass(LongWritable.DecreasingComparator.class);
    sort.setNumReduceTasks(1);
    sort.setMapOutputKeyClass(LongWritable.class);
    sort.setMapOutputValueClass(Text.class);
    sort.setOutputKeyClass(LongWritable.class);
    jobs.run(sort, Jobs.Phase.RUN);
    jobs.delete(counted);

    Validate.run(jobs, Validate.Kind.FALLING_COUNTS, jobs.output());
    recount(jobs);
  }

  /** Reads the input once more, without shuffle, sort or combiner, for the truth to compare with. */
  public static void recount(Jobs jobs) throws Exception {
    Path nowhere = new Path(jobs.output().getParent(), jobs.output().getName() + ".recount");
    Job job = jobs.create("recount", jobs.input(), nowhere);
    job.setMapperClass(Recount.class);
    job.setNumReduceTasks(0);
    jobs.run(job, Jobs.Phase.VALIDATE);
    jobs.delete(nowhere);
  }

  static final class Matches extends TaskTrace.Traced.MapperOf<LongWritable, Text, Text, LongWritable> {
    private static final LongWritable ONE = new LongWritable(1);
    private final Text found = new Text();
    private Pattern pattern;

    @Override
    protected void setup(Context context) {
      pattern = Pattern.compile(context.getConfiguration().get(PATTERN));
    }

    @Override
    protected void map(LongWritable offset, Text line, Context context) throws IOException, InterruptedException {
      Matcher matcher = pattern.matcher(line.toString());
      while (matcher.find()) {
        found.set(matcher.group());
        context.write(found, ONE);
      }
    }
  }

  static final class CountAsKey extends TaskTrace.Traced.MapperOf<Text, LongWritable, LongWritable, Text> {
    @Override
    protected void map(Text match, LongWritable count, Context context) throws IOException, InterruptedException {
      context.write(count, match);
    }
  }

  static final class MatchBehindCount extends TaskTrace.Traced.ReducerOf<LongWritable, Text, LongWritable, Text> {
    @Override
    protected void reduce(LongWritable count, Iterable<Text> matches, Context context)
        throws IOException, InterruptedException {
      for (Text match : matches) {
        context.write(count, match);
      }
    }
  }

  static final class Recount extends TaskTrace.Traced.MapperOf<LongWritable, Text, NullWritable, NullWritable> {
    private Pattern pattern;

    @Override
    protected void setup(Context context) {
      pattern = Pattern.compile(context.getConfiguration().get(PATTERN));
    }

    @Override
    protected void map(LongWritable offset, Text line, Context context) {
      Matcher matcher = pattern.matcher(line.toString());
      Text found = new Text();
      while (matcher.find()) {
        found.set(matcher.group());
        context.getCounter(Validate.Truth.WEIGHT).increment(1);
        context.getCounter(Validate.Truth.CHECKSUM)
            .increment(Hashing.of(found.getBytes(), 0, found.getLength()));
      }
    }
  }
}
