package framework.mapreduce;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.SplittableRandom;
import org.apache.hadoop.conf.Configuration;

/** Records of one kind, block by block; a block's content depends on the seed and its number alone. */
interface Generator {
  int BLOCK_BYTES = 1 << 16;

  long blocks();

  void fill(long block, SplittableRandom random, Generate.Sink sink, Generate.Tally tally)
      throws IOException, InterruptedException;

  static Generator of(Configuration conf) {
    long bytes = conf.getLong("framework.bytes", 0);
    String kind = conf.get("framework.kind");
    switch (kind) {
      case "text":
        return new TextLines(bytes);
      case "records":
        return new SortRecords(bytes);
      case "graph":
        return new WebGraph(conf.getLong("framework.nodes", 1));
      case "points":
        return new Points(conf.getLong("framework.points", 1), conf.getLong("framework.seed", 0));
      case "files":
        return new IoFiles(conf.getLong("framework.parts", 1));
      default:
        throw new IllegalArgumentException("no generator of kind " + kind);
    }
  }

  /** Lines of about ten words; word frequencies follow Zipf's law with exponent 1. Exactly as large as asked for. */
  final class TextLines implements Generator {
    private static final int VOCABULARY = 10_000;
    private static final int WORDS_A_LINE = 10;
    private static final String[] SYLLABLES = {
      "ba", "ce", "di", "fo", "gu", "ha", "je", "ki", "lo", "mu", "na", "pe", "qui", "ro", "su", "ta", "ve", "wi",
      "xo", "zu", "an", "el", "is", "or", "un", "tra", "pre", "sti", "clo", "dru",
    };

    private final long bytes;
    private final byte[][] words = new byte[VOCABULARY][];
    private final double[] cumulative = new double[VOCABULARY];

    TextLines(long bytes) {
      this.bytes = bytes;
      double sum = 0;
      for (int i = 0; i < VOCABULARY; i++) {
        words[i] = spelled(i).getBytes(StandardCharsets.US_ASCII);
        sum += 1.0 / (i + 1);
        cumulative[i] = sum;
      }
    }

    /** The i-th most frequent word: the digits of i + 30 in base 30, as syllables, so that words are distinct. */
    private static String spelled(int i) {
      StringBuilder word = new StringBuilder();
      for (int rest = i + SYLLABLES.length; rest > 0; rest /= SYLLABLES.length) {
        word.append(SYLLABLES[rest % SYLLABLES.length]);
      }
      return word.toString();
    }

    @Override
    public long blocks() {
      return (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES;
    }

    @Override
    public void fill(long block, SplittableRandom random, Generate.Sink sink, Generate.Tally tally)
        throws IOException, InterruptedException {
      int left = (int) Math.min(BLOCK_BYTES, bytes - block * BLOCK_BYTES);
      tally.bytes += left;
      byte[] line = new byte[BLOCK_BYTES];
      while (left > 0) {
        int length = 0;
        for (int i = 0; i < WORDS_A_LINE; i++) {
          byte[] word = words[drawn(random)];
          int room = left - 1 - length - (i == 0 ? 0 : 1);
          int taken = Math.min(word.length, room);
          if (taken <= 0) {
            break;
          }
          if (i > 0) {
            line[length++] = ' ';
          }
          System.arraycopy(word, 0, line, length, taken);
          tally.words++;
          tally.wordChecksum += Hashing.of(line, length, taken);
          length += taken;
        }
        sink.record(line, length);
        left -= length + 1;
      }
    }

    private int drawn(SplittableRandom random) {
      double target = random.nextDouble() * cumulative[VOCABULARY - 1];
      int low = 0;
      int high = VOCABULARY - 1;
      while (low < high) {
        int middle = (low + high) >>> 1;
        if (cumulative[middle] < target) {
          low = middle + 1;
        } else {
          high = middle;
        }
      }
      return low;
    }
  }

  /** TeraGen's records: 10 random bytes of key, 90 bytes of row number and filler. */
  final class SortRecords implements Generator {
    private static final int RECORDS_A_BLOCK = 1 << 12;
    private final long records;

    SortRecords(long bytes) {
      records = bytes / Records.LENGTH;
    }

    @Override
    public long blocks() {
      return (records + RECORDS_A_BLOCK - 1) / RECORDS_A_BLOCK;
    }

    @Override
    public void fill(long block, SplittableRandom random, Generate.Sink sink, Generate.Tally tally)
        throws IOException, InterruptedException {
      long first = block * RECORDS_A_BLOCK;
      long last = Math.min(records, first + RECORDS_A_BLOCK);
      byte[] record = new byte[Records.LENGTH];
      for (long row = first; row < last; row++) {
        long high = random.nextLong();
        long low = random.nextLong();
        for (int i = 0; i < 8; i++) {
          record[i] = (byte) (high >>> (56 - 8 * i));
        }
        record[8] = (byte) (low >>> 8);
        record[9] = (byte) low;
        for (int i = 0; i < 20; i++) {
          record[10 + i] = (byte) "0123456789ABCDEF".charAt(i < 4 ? 0 : (int) (row >>> (4 * (19 - i))) & 15);
        }
        for (int i = 30; i < Records.LENGTH; i++) {
          record[i] = (byte) ('A' + (row + i / 10) % 26);
        }
        sink.record(record, Records.LENGTH);
      }
      tally.bytes += (last - first) * Records.LENGTH;
    }
  }

  /** A directed graph: one line {@code node<TAB>n1,n2,...} a node, 1 to 15 links, few nodes much linked to. */
  final class WebGraph implements Generator {
    private static final int NODES_A_BLOCK = 1 << 10;
    private static final int MOST_LINKS = 15;
    private final long nodes;

    WebGraph(long nodes) {
      this.nodes = nodes;
    }

    @Override
    public long blocks() {
      return (nodes + NODES_A_BLOCK - 1) / NODES_A_BLOCK;
    }

    @Override
    public void fill(long block, SplittableRandom random, Generate.Sink sink, Generate.Tally tally)
        throws IOException, InterruptedException {
      long last = Math.min(nodes, (block + 1) * NODES_A_BLOCK);
      for (long node = block * NODES_A_BLOCK; node < last; node++) {
        StringBuilder line = new StringBuilder().append(node).append('\t');
        int links = 1 + random.nextInt(MOST_LINKS);
        for (int i = 0; i < links; i++) {
          double u = random.nextDouble();
          line.append(i == 0 ? "" : ",").append((long) (nodes * u * u)); // density falls as 1 / sqrt(node)
        }
        byte[] bytes = line.toString().getBytes(StandardCharsets.US_ASCII);
        sink.record(bytes, bytes.length);
        tally.bytes += bytes.length + 1;
        tally.edges += links;
      }
    }
  }

  /** Points around ten centres in eight dimensions, each coordinate as {@code ddd.dddd}: 72 bytes a line. */
  final class Points implements Generator {
    static final int DIMENSIONS = 8;
    private static final int CENTRES = 10;
    private static final double SPREAD = 40.0;
    private static final int POINTS_A_BLOCK = 1 << 10;
    private static final long LARGEST = 9_999_999; // 999.9999 in units of 0.0001
    private final long points;
    private final double[][] centres = new double[CENTRES][DIMENSIONS];

    Points(long points, long seed) {
      this.points = points;
      SplittableRandom random = new SplittableRandom(Hashing.mix(~seed));
      for (double[] centre : centres) {
        for (int i = 0; i < DIMENSIONS; i++) {
          centre[i] = 100 + 800 * random.nextDouble();
        }
      }
    }

    @Override
    public long blocks() {
      return (points + POINTS_A_BLOCK - 1) / POINTS_A_BLOCK;
    }

    @Override
    public void fill(long block, SplittableRandom random, Generate.Sink sink, Generate.Tally tally)
        throws IOException, InterruptedException {
      long count = Math.min(points - block * POINTS_A_BLOCK, POINTS_A_BLOCK);
      byte[] line = new byte[DIMENSIONS * 9 - 1];
      for (long point = 0; point < count; point++) {
        double[] centre = centres[random.nextInt(CENTRES)];
        for (int i = 0; i < DIMENSIONS; i++) {
          write(Math.round((centre[i] + SPREAD * gaussian(random)) * 10_000), line, i * 9);
        }
        sink.record(line, line.length);
      }
      tally.bytes += count * (line.length + 1);
    }

    /** A normal deviate as the sum of twelve uniform ones: exact in every Java, unlike log and cosine. */
    private static double gaussian(SplittableRandom random) {
      double sum = -6;
      for (int i = 0; i < 12; i++) {
        sum += random.nextDouble();
      }
      return sum;
    }

    private static void write(long tenThousandths, byte[] line, int offset) {
      long rest = Math.max(0, Math.min(LARGEST, tenThousandths));
      for (int i = 7; i >= 0; i--) {
        if (i == 3) {
          line[offset + i] = '.';
        } else {
          line[offset + i] = (byte) ('0' + rest % 10);
          rest /= 10;
        }
      }
      if (offset > 0) {
        line[offset - 1] = ',';
      }
    }
  }

  /** The files of DFSIO, one a block: it makes no records, the tasks of {@link DfsIo} write them. */
  final class IoFiles implements Generator {
    private final long files;

    IoFiles(long files) {
      this.files = files;
    }

    @Override
    public long blocks() {
      return files;
    }

    @Override
    public void fill(long block, SplittableRandom random, Generate.Sink sink, Generate.Tally tally) {
      throw new UnsupportedOperationException("DFSIO's tasks write its files");
    }
  }
}
