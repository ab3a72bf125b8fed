package framework.mapreduce;

import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.BytesWritable;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.NullWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.mapreduce.InputSplit;
import org.apache.hadoop.mapreduce.JobContext;
import org.apache.hadoop.mapreduce.RecordReader;
import org.apache.hadoop.mapreduce.RecordWriter;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.hadoop.mapreduce.lib.input.FileInputFormat;
import org.apache.hadoop.mapreduce.lib.input.FixedLengthInputFormat;
import org.apache.hadoop.mapreduce.lib.output.FileOutputFormat;

/** Files of 100-byte records without separators, as TeraSort's: 10 bytes of key, 90 bytes of value. */
public final class Records {
  public static final int LENGTH = 100;
  public static final int KEY_LENGTH = 10;

  private Records() {}

  /** Reads records as (key, value); splits end at record boundaries. */
  public static final class Input extends FileInputFormat<BytesWritable, BytesWritable> {
    @Override
    protected boolean isSplitable(JobContext context, Path file) {
      return true;
    }

    @Override
    public RecordReader<BytesWritable, BytesWritable> createRecordReader(
        InputSplit split, TaskAttemptContext context) throws IOException, InterruptedException {
      FixedLengthInputFormat.setRecordLength(context.getConfiguration(), LENGTH);
      return new Halves(new FixedLengthInputFormat().createRecordReader(split, context));
    }
  }

  private static final class Halves extends RecordReader<BytesWritable, BytesWritable> {
    private final RecordReader<LongWritable, BytesWritable> whole;
    private final BytesWritable key = new BytesWritable();
    private final BytesWritable value = new BytesWritable();

    Halves(RecordReader<LongWritable, BytesWritable> whole) {
      this.whole = whole;
    }

    @Override
    public void initialize(InputSplit split, TaskAttemptContext context) throws IOException, InterruptedException {
      whole.initialize(split, context);
    }

    @Override
    public boolean nextKeyValue() throws IOException, InterruptedException {
      if (!whole.nextKeyValue()) {
        return false;
      }
      byte[] bytes = whole.getCurrentValue().getBytes();
      key.set(bytes, 0, KEY_LENGTH);
      value.set(bytes, KEY_LENGTH, LENGTH - KEY_LENGTH);
      return true;
    }

    @Override
    public BytesWritable getCurrentKey() {
      return key;
    }

    @Override
    public BytesWritable getCurrentValue() {
      return value;
    }

    @Override
    public float getProgress() throws IOException, InterruptedException {
      return whole.getProgress();
    }

    @Override
    public void close() throws IOException {
      whole.close();
    }
  }

  /** Writes bytes one after the other; a key of NullWritable is left out, values may be Text or BytesWritable. */
  public static final class Output extends FileOutputFormat<Object, Object> {
    @Override
    public RecordWriter<Object, Object> getRecordWriter(TaskAttemptContext task) throws IOException {
      Configuration conf = task.getConfiguration();
      Path file = getDefaultWorkFile(task, "");
      FSDataOutputStream out = file.getFileSystem(conf).create(file, false);
      return new RecordWriter<>() {
        @Override
        public void write(Object key, Object value) throws IOException {
          append(key);
          append(value);
        }

        private void append(Object bytes) throws IOException {
          if (bytes instanceof BytesWritable) {
            out.write(((BytesWritable) bytes).getBytes(), 0, ((BytesWritable) bytes).getLength());
          } else if (!(bytes instanceof NullWritable)) {
            out.write(((Text) bytes).getBytes(), 0, ((Text) bytes).getLength());
          }
        }

        @Override
        public void close(TaskAttemptContext context) throws IOException {
          out.close();
        }
      };
    }
  }
}
