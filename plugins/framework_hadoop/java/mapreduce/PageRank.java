package framework.mapreduce;

import java.io.DataInput;
import java.io.DataOutput;
import java.io.IOException;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.io.LongWritable;
import org.apache.hadoop.io.Text;
import org.apache.hadoop.io.Writable;
import org.apache.hadoop.mapreduce.Job;
import org.apache.hadoop.mapreduce.lib.input.SequenceFileInputFormat;
import org.apache.hadoop.mapreduce.lib.output.SequenceFileOutputFormat;

/** PageRank by power iteration, one job an iteration; every node has links, so the ranks always sum to 1. */
final class PageRank {
  private static final double DAMPING = 0.85;

  private PageRank() {}

  static void run(Jobs jobs) throws Exception {
    int iterations = jobs.conf.getInt("framework.iterations", 3);
    Path in = jobs.input();
    for (int i = 1; i <= iterations; i++) {
      boolean last = i == iterations;
      Path out = last ? jobs.output() : new Path(jobs.output().getParent(), jobs.output().getName() + ".rank" + i);
      Job job = jobs.create("pagerank_" + i, in, out);
      job.setMapperClass(i == 1 ? FromText.class : FromBefore.class);
      if (i > 1) {
        job.setInputFormatClass(SequenceFileInputFormat.class);
      }
      if (jobs.conf.getBoolean("framework.combiner", true)) {
        job.setCombinerClass(AddMass.class);
      }
      job.setReducerClass(last ? Ranks.class : Next.class);
      job.setMapOutputKeyClass(LongWritable.class);
      job.setMapOutputValueClass(Node.class);
      job.setOutputKeyClass(LongWritable.class);
      if (!last) {
        job.setOutputValueClass(Node.class);
        job.setOutputFormatClass(SequenceFileOutputFormat.class);
      }
      jobs.run(job, Jobs.Phase.RUN);
      if (i > 1) {
        jobs.delete(in);
      }
      in = out;
    }
    Validate.run(jobs, Validate.Kind.RANKS, jobs.output());
  }

  /** Rank mass and, in one message a node, its links. */
  static final class Node implements Writable {
    private static final long[] NO_LINKS = {};
    double mass;
    long[] links = NO_LINKS;

    @Override
    public void write(DataOutput out) throws IOException {
      out.writeDouble(mass);
      out.writeShort(links.length);
      for (long link : links) {
        out.writeLong(link);
      }
    }

    @Override
    public void readFields(DataInput in) throws IOException {
      mass = in.readDouble();
      int count = in.readUnsignedShort();
      links = count == 0 ? NO_LINKS : new long[count];
      for (int i = 0; i < count; i++) {
        links[i] = in.readLong();
      }
    }
  }

  /** Sends a node's links to itself and shares of its rank to those it links to. */
  private abstract static class Spread<K, V> extends TaskTrace.Traced.MapperOf<K, V, LongWritable, Node> {
    private final LongWritable to = new LongWritable();
    private final Node message = new Node();

    void spread(long node, double rank, long[] links, Context context) throws IOException, InterruptedException {
      message.mass = 0;
      message.links = links;
      to.set(node);
      context.write(to, message);
      message.mass = rank / links.length;
      message.links = Node.NO_LINKS;
      for (long link : links) {
        to.set(link);
        context.write(to, message);
      }
    }
  }

  static final class FromText extends Spread<LongWritable, Text> {
    @Override
    protected void map(LongWritable offset, Text line, Context context) throws IOException, InterruptedException {
      String text = line.toString();
      int tab = text.indexOf('\t');
      String[] words = text.substring(tab + 1).split(",");
      long[] links = new long[words.length];
      for (int i = 0; i < words.length; i++) {
        links[i] = Long.parseLong(words[i]);
      }
      double rank = 1.0 / context.getConfiguration().getLong("framework.nodes", 1);
      spread(Long.parseLong(text.substring(0, tab)), rank, links, context);
    }
  }

  static final class FromBefore extends Spread<LongWritable, Node> {
    @Override
    protected void map(LongWritable node, Node state, Context context) throws IOException, InterruptedException {
      spread(node.get(), state.mass, state.links, context);
    }
  }

  private static Node added(Iterable<Node> messages) {
    Node sum = new Node();
    for (Node message : messages) {
      sum.mass += message.mass;
      sum.links = message.links.length > 0 ? message.links : sum.links;
    }
    return sum;
  }

  private static Node ranked(Iterable<Node> messages, Configuration conf) {
    Node node = added(messages);
    node.mass = (1 - DAMPING) / conf.getLong("framework.nodes", 1) + DAMPING * node.mass;
    return node;
  }

  static final class AddMass extends TaskTrace.Traced.ReducerOf<LongWritable, Node, LongWritable, Node> {
    @Override
    protected void reduce(LongWritable node, Iterable<Node> messages, Context context)
        throws IOException, InterruptedException {
      context.write(node, added(messages));
    }
  }

  static final class Next extends TaskTrace.Traced.ReducerOf<LongWritable, Node, LongWritable, Node> {
    @Override
    protected void reduce(LongWritable node, Iterable<Node> messages, Context context)
        throws IOException, InterruptedException {
      context.write(node, ranked(messages, context.getConfiguration()));
    }
  }

  static final class Ranks extends TaskTrace.Traced.ReducerOf<LongWritable, Node, LongWritable, Text> {
    @Override
    protected void reduce(LongWritable node, Iterable<Node> messages, Context context)
        throws IOException, InterruptedException {
      context.write(node, new Text(Double.toString(ranked(messages, context.getConfiguration()).mass)));
    }
  }
}
