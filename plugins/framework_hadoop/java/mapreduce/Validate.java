package framework.mapreduce;

import java.io.IOException;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Set;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.BytesWritable;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.io.WritableComparator;
import org.apache.hadoop.mapreduce.InputSplit;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.JobContext;
import org.apache.hadoop.mapreduce.RecordReader;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.hadoop.mapreduce.lib.input.FileInputFormat;
import org.apache.hadoop.mapreduce.lib.input.FileSplit;
import org.apache.hadoop.mapreduce.lib.input.FixedLengthInputFormat;
import org.apache.hadoop.mapreduce.lib.input.TextInputFormat;

/**
 * Reads an output folder and counts what it holds, as TeraValidate does: one map task a file checks order and adds up
 * hashes, one reduce task checks that each file ends before the next one begins.
 *
 * <p>The counters {@link Found} are compared with what the generator counted by the process that started this one.
 */
public final class Validate {
  /** What an output file's records are, and how they must be ordered. */
  public enum Kind {
    /** {@code word<TAB>count}, words strictly rising in a file. */
    COUNTS,
    /** {@code word<TAB>count}, in no order, each word once in a file. */
    UNORDERED_COUNTS,
    /** {@code count<TAB>match}, counts not rising. */
    FALLING_COUNTS,
    /** Lines, not falling in a file. */
    LINES,
    /** 100-byte records, keys not falling over all files. */
    RECORDS,
    /** {@code node<TAB>rank}, in no order. */
    RANKS,
  }

  /** What was found: rows, sum of hashes, sum of counts (or of ranks in 10^-15), and rows or files out of order. */
  public enum Found { ROWS, CHECKSUM, WEIGHT, DISORDER }

  /** The truth, where a second pass over the input tells it (grep). */
  public enum Truth { CHECKSUM, WEIGHT }

  static final String KIND = "framework.validate";
  static final double RANK_UNITS = 1e15;

  private Validate() {}

  public static void run(Jobs jobs, Kind kind, Path folder) throws Exception {
    jobs.run(job(jobs, kind, folder), Jobs.Phase.VALIDATE);
    jobs.delete(new Path(folder.getParent(), folder.getName() + ".checked"));
  }

  private static Job job(Jobs jobs, Kind kind, Path folder) throws Exception {
    Job job = jobs.create("validate", folder, new Path(folder.getParent(), folder.getName() + ".checked"));
    job.getConfiguration().setEnum(KIND, kind);
    job.setInputFormatClass(kind == Kind.RECORDS ? WholeRecordFiles.class : WholeTextFiles.class);
    job.setMapperClass(kind == Kind.RECORDS ? CheckRecords.class : CheckLines.class);
    job.setReducerClass(FilesInOrder.class);
    job.setNumReduceTasks(1);
    return job;
  }

  static final class WholeTextFiles extends TextInputFormat {
    @Override
    protected boolean isSplitable(JobContext context, Path file) {
      return false;
    }
  }

  static final class WholeRecordFiles extends FileInputFormat<LongWritable, BytesWritable> {
    @Override
    protected boolean isSplitable(JobContext context, Path file) {
      return false;
    }

    @Override
    public RecordReader<LongWritable, BytesWritable> createRecordReader(
        InputSplit split, TaskAttemptContext context) throws IOException, InterruptedException {
      FixedLengthInputFormat.setRecordLength(context.getConfiguration(), Records.LENGTH);
      return new FixedLengthInputFormat().createRecordReader(split, context);
    }
  }

  /** Adds up what a file holds, and keeps its first and last key for {@link FilesInOrder}. */
  private abstract static class Check<V> extends TaskTrace.Traced.MapperOf<LongWritable, V, Text, Text> {
    long rows;
    long checksum;
    long weight;
    long disorder;

    @Override
    protected void cleanup(Context context) throws IOException, InterruptedException {
      context.getCounter(Found.ROWS).increment(rows);
      context.getCounter(Found.CHECKSUM).increment(checksum);
      context.getCounter(Found.WEIGHT).increment(weight);
      context.getCounter(Found.DISORDER).increment(disorder);
    }
  }

  static final class CheckLines extends Check<Text> {
    private Kind kind;
    private final Text key = new Text();
    private final Text before = new Text();
    private final Set<Long> seen = new HashSet<>();
    private long countBefore = Long.MAX_VALUE;

    @Override
    protected void setup(Context context) {
      kind = context.getConfiguration().getEnum(KIND, Kind.LINES);
    }

    @Override
    protected void map(LongWritable offset, Text line, Context context) {
      byte[] bytes = line.getBytes();
      int tab = kind == Kind.LINES ? line.getLength() : line.find("\t");
      switch (kind) {
        case LINES:
          checksum += Hashing.of(bytes, 0, tab);
          key.set(bytes, 0, tab);
          disorder += rows > 0 && before.compareTo(key) > 0 ? 1 : 0;
          break;
        case COUNTS:
          long count = number(line, tab + 1, line.getLength());
          weight += count;
          checksum += count * Hashing.of(bytes, 0, tab);
          key.set(bytes, 0, tab);
          disorder += rows > 0 && before.compareTo(key) >= 0 ? 1 : 0;
          break;
        case UNORDERED_COUNTS:
          long occurrences = number(line, tab + 1, line.getLength());
          long word = Hashing.of(bytes, 0, tab);
          weight += occurrences;
          checksum += occurrences * word;
          disorder += seen.add(word) ? 0 : 1;
          break;
        case FALLING_COUNTS:
          long times = number(line, 0, tab);
          weight += times;
          checksum += times * Hashing.of(bytes, tab + 1, line.getLength() - tab - 1);
          disorder += times > countBefore ? 1 : 0;
          countBefore = times;
          break;
        default:
          weight += Math.round(Double.parseDouble(line.toString().substring(tab + 1)) * RANK_UNITS);
          checksum += Hashing.of(bytes, 0, tab);
      }
      before.set(key);
      rows++;
    }

    private static long number(Text line, int from, int to) {
      long value = 0;
      for (int i = from; i < to; i++) {
        value = value * 10 + line.getBytes()[i] - '0';
      }
      return value;
    }
  }

  static final class CheckRecords extends Check<BytesWritable> {
    private final byte[] first = new byte[Records.KEY_LENGTH];
    private final byte[] before = new byte[Records.KEY_LENGTH];

    @Override
    protected void map(LongWritable offset, BytesWritable record, Context context) {
      byte[] bytes = record.getBytes();
      checksum += Hashing.of(bytes, 0, Records.LENGTH);
      if (rows == 0) {
        System.arraycopy(bytes, 0, first, 0, first.length);
      } else if (compare(before, bytes) > 0) {
        disorder++;
      }
      System.arraycopy(bytes, 0, before, 0, before.length);
      rows++;
    }

    @Override
    protected void cleanup(Context context) throws IOException, InterruptedException {
      super.cleanup(context);
      if (rows > 0) {
        String file = ((FileSplit) context.getInputSplit()).getPath().getName();
        context.write(new Text(file), new Text(hex(first) + " " + hex(before)));
      }
    }

    private static int compare(byte[] a, byte[] b) {
      return WritableComparator.compareBytes(a, 0, Records.KEY_LENGTH, b, 0, Records.KEY_LENGTH);
    }

    private static String hex(byte[] bytes) {
      StringBuilder text = new StringBuilder();
      for (byte b : Arrays.copyOf(bytes, Records.KEY_LENGTH)) {
        text.append(String.format("%02x", b & 0xff));
      }
      return text.toString();
    }
  }

  /** Gets (file, "first last") in the order of file names, which is the order of the partitions. */
  static final class FilesInOrder extends TaskTrace.Traced.ReducerOf<Text, Text, Text, Text> {
    private String lastBefore = "";

    @Override
    protected void reduce(Text file, Iterable<Text> ends, Context context) {
      for (Text end : ends) {
        String[] keys = end.toString().split(" ");
        if (lastBefore.compareTo(keys[0]) > 0) {
          context.getCounter(Found.DISORDER).increment(1);
        }
        lastBefore = keys[1];
      }
    }
  }
}
