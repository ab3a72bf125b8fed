package framework.mapreduce;

import java.io.IOException;
import java.io.Serializable;
import java.util.SplittableRandom;
import java.util.zip.CRC32C;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.FSDataInputStream;
import org.apache.hadoop.fs.FSDataOutputStream;
import org.apache.hadoop.fs.Path;

/** Writes and reads one file of DFSIO, timing the stream alone. */
public final class FileIo {
  private static final int DEFAULT_BUFFER_BYTES = 4096;

  private FileIo() {}

  /** What was moved: bytes, microseconds from opening to closing, CRC-32C of the content. */
  public static final class Moved implements Serializable {
    private static final long serialVersionUID = 1L;
    public final long bytes;
    public final long micros;
    public final long checksum;

    Moved(long bytes, long beganNanos, long checksum) {
      this.bytes = bytes;
      this.micros = Math.max(1, (System.nanoTime() - beganNanos) / 1000);
      this.checksum = checksum;
    }

    /** Bytes a second. */
    public long rate() {
      return bytes * 1_000_000 / micros;
    }
  }

  private static byte[] buffer(Configuration conf) {
    return new byte[conf.getInt("io.file.buffer.size", DEFAULT_BUFFER_BYTES)];
  }

  private static Path file(Path folder, long number) {
    return new Path(folder, "file-" + number);
  }

  /** Writes file {@code number} of {@code framework.parts}, its share of {@code framework.bytes}. */
  public static Moved write(Configuration conf, Path folder, long number) throws IOException {
    long files = conf.getLong("framework.parts", 1);
    long all = conf.getLong("framework.bytes", 0);
    long size = all * (number + 1) / files - all * number / files;
    byte[] buffer = buffer(conf);
    SplittableRandom random = new SplittableRandom(Hashing.mix(conf.getLong("framework.seed", 0)) + number);
    for (int i = 0; i < buffer.length; i++) {
      buffer[i] = (byte) random.nextInt();
    }
    CRC32C checksum = new CRC32C(); // the processor's own instruction: hardly any time beside the I/O
    long began = System.nanoTime();
    Path file = file(folder, number);
    try (FSDataOutputStream out = file.getFileSystem(conf).create(file, true)) {
      for (long left = size; left > 0; left -= buffer.length) {
        int length = (int) Math.min(left, buffer.length);
        out.write(buffer, 0, length);
        checksum.update(buffer, 0, length);
      }
    }
    return new Moved(size, began, checksum.getValue());
  }

  /** Reads file {@code number} back. */
  public static Moved read(Configuration conf, Path folder, long number) throws IOException {
    byte[] buffer = buffer(conf);
    CRC32C checksum = new CRC32C();
    long size = 0;
    long began = System.nanoTime();
    Path file = file(folder, number);
    try (FSDataInputStream in = file.getFileSystem(conf).open(file)) {
      for (int length = in.read(buffer); length >= 0; length = in.read(buffer)) {
        checksum.update(buffer, 0, length);
        size += length;
      }
    }
    return new Moved(size, began, checksum.getValue());
  }
}
