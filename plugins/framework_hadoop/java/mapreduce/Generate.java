package framework.mapreduce;

import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.SplittableRandom;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.FileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.NullWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.io.Writable;
import org.apache.hadoop.mapreduce.Counters;
import org.apache.hadoop.mapreduce.InputFormat;
import org.apache.hadoop.mapreduce.InputSplit;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.JobContext;
import org.apache.hadoop.mapreduce.RecordReader;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.hadoop.mapreduce.lib.output.TextOutputFormat;

/**
 * Makes a benchmark's input with a map-only job.
 *
 * <p>Data come in blocks, each from a random stream of its own (seed, block), so that the bytes don't depend on how
 * many tasks write them. The folder appears under its name when it is whole; {@code _facts} in it holds the counters
 * of the generator, which the validation of every run is held against.
 */
final class Generate {
  static final String FACTS = "_facts";

  /** What a generator counts about its records. */
  enum Made { RECORDS, BYTES, CHECKSUM, WORDS, WORD_CHECKSUM, EDGES }

  private Generate() {}

  static void run(Jobs jobs, String kind) throws Exception {
    Path target = jobs.output();
    FileSystem files = target.getFileSystem(jobs.conf);
    if (files.exists(new Path(target, FACTS))) {
      reportFacts(jobs, files, new Path(target, FACTS));
      return;
    }
    Path growing = new Path(target.getParent(), target.getName() + ".part-" + System.nanoTime());
    Job job = jobs.create("generate_" + kind, null, growing);
    job.getConfiguration().set("framework.kind", kind);
    job.setInputFormatClass(Blocks.class);
    job.setMapperClass(Fill.class);
    job.setNumReduceTasks(0);
    job.setOutputKeyClass(NullWritable.class);
    if (kind.equals("records")) {
      job.setOutputFormatClass(Records.Output.class);
    } else {
      job.setOutputFormatClass(TextOutputFormat.class);
    }
    try {
      jobs.run(job, Jobs.Phase.PREPARE);
      writeFacts(files, new Path(growing, FACTS), job.getCounters());
      if (!files.rename(growing, target) && !files.exists(new Path(target, FACTS))) {
        throw new IOException("can't rename " + growing + " to " + target);
      }
    } finally {
      files.delete(growing, true);
    }
    reportFacts(jobs, files, new Path(target, FACTS));
  }

  private static void reportFacts(Jobs jobs, FileSystem files, Path file) throws IOException {
    try (FSDataInputStream in = files.open(file)) {
      jobs.report.fact("made", new String(in.readAllBytes(), "UTF-8"));
    }
  }

  private static void writeFacts(FileSystem files, Path file, Counters counters) throws IOException {
    try (FSDataOutputStream out = files.create(file)) {
      out.write(Report.json(Report.nested(counters).get(Made.class.getName())).getBytes("UTF-8"));
    }
  }

  /** Writes the records of a task's blocks. */
  static final class Fill extends TaskTrace.Traced.MapperOf<LongWritable, NullWritable, NullWritable, Text> {
    private Generator generator;

    @Override
    protected void setup(Context context) {
      generator = Generator.of(context.getConfiguration());
    }

    @Override
    protected void map(LongWritable block, NullWritable none, Context context)
        throws IOException, InterruptedException {
      long seed = context.getConfiguration().getLong("framework.seed", 0);
      SplittableRandom random = new SplittableRandom(Hashing.mix(Hashing.mix(seed) + block.get()));
      Text record = new Text();
      Tally tally = new Tally();
      generator.fill(block.get(), random, (bytes, length) -> {
        record.set(bytes, 0, length);
        tally.records++;
        tally.checksum += Hashing.of(bytes, 0, length);
        context.write(NullWritable.get(), record);
      }, tally);
      context.getCounter(Made.RECORDS).increment(tally.records);
      context.getCounter(Made.CHECKSUM).increment(tally.checksum);
      context.getCounter(Made.BYTES).increment(tally.bytes);
      context.getCounter(Made.WORDS).increment(tally.words);
      context.getCounter(Made.WORD_CHECKSUM).increment(tally.wordChecksum);
      context.getCounter(Made.EDGES).increment(tally.edges);
      context.progress();
    }
  }

  /** What a block added up to. */
  static final class Tally {
    long records;
    long bytes;
    long checksum;
    long words;
    long wordChecksum;
    long edges;
  }

  /** Takes a record's bytes; the array may be reused afterwards. */
  interface Sink {
    void record(byte[] bytes, int length) throws IOException, InterruptedException;
  }

  /** Ranges of block numbers, one range a map task, as many as {@code framework.parts}. */
  static final class Blocks extends InputFormat<LongWritable, NullWritable> {
    @Override
    public List<InputSplit> getSplits(JobContext context) {
      Configuration conf = context.getConfiguration();
      long blocks = Generator.of(conf).blocks();
      long parts = Math.max(1, Math.min(blocks, conf.getLong("framework.parts", 1)));
      List<InputSplit> splits = new ArrayList<>();
      for (long part = 0; part < parts; part++) {
        splits.add(new Range(blocks * part / parts, blocks * (part + 1) / parts));
      }
      return splits;
    }

    @Override
    public RecordReader<LongWritable, NullWritable> createRecordReader(
        InputSplit split, TaskAttemptContext context) {
      return new RangeReader((Range) split);
    }
  }

  /** Block numbers from first (inclusive) to last (exclusive). */
  static final class Range extends InputSplit implements Writable {
    private long first;
    private long last;

    @SuppressWarnings("unused") // made by reflection
    Range() {}

    Range(long first, long last) {
      this.first = first;
      this.last = last;
    }

    @Override
    public long getLength() {
      return last - first;
    }

    @Override
    public String[] getLocations() {
      return new String[0];
    }

    @Override
    public void write(DataOutput out) throws IOException {
      out.writeLong(first);
      out.writeLong(last);
    }

    @Override
    public void readFields(DataInput in) throws IOException {
      first = in.readLong();
      last = in.readLong();
    }
  }

  private static final class RangeReader extends RecordReader<LongWritable, NullWritable> {
    private final Range range;
    private final LongWritable block = new LongWritable();

    RangeReader(Range range) {
      this.range = range;
      block.set(range.first - 1);
    }

    @Override
    public void initialize(InputSplit split, TaskAttemptContext context) {}

    @Override
    public boolean nextKeyValue() {
      block.set(block.get() + 1);
      return block.get() < range.last;
    }

    @Override
    public LongWritable getCurrentKey() {
      return block;
    }

    @Override
    public NullWritable getCurrentValue() {
      return NullWritable.get();
    }

    @Override
    public float getProgress() {
      return (block.get() - range.first) / (float) Math.max(1, range.last - range.first);
    }

    @Override
    public void close() {}
  }
}
