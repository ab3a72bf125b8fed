package framework.mapreduce;

import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Paths;
import java.util.LinkedHashMap;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.mapreduce.Counter;
import org.apache.hadoop.mapreduce.CounterGroup;
import org.apache.hadoop.mapreduce.Counters;

/**
 * What happened, for the process that started this one: one JSON object a line, flushed at once, so that the
 * report of a killed process holds everything up to its end.
 */
public final class Report implements AutoCloseable {
  private final Writer out;

  public Report(Configuration conf) throws IOException {
    this(conf.get("framework.report"));
  }

  public Report(String file) throws IOException {
    out = Files.newBufferedWriter(Paths.get(file), StandardCharsets.UTF_8);
  }

  /** A line of one kind; values are numbers, strings, maps or null. */
  public synchronized void line(String event, Map<String, Object> values) throws IOException {
    Map<String, Object> all = new LinkedHashMap<>();
    all.put("event", event);
    all.putAll(values);
    out.write(json(all));
    out.write('\n');
    out.flush();
  }

  /** A single named number about input or output. */
  public void fact(String name, Object value) throws IOException {
    Map<String, Object> values = new LinkedHashMap<>();
    values.put("name", name);
    values.put("value", value);
    line("fact", values);
  }

  /** Counters as nested maps: group, name, value. */
  public static Map<String, Object> nested(Counters counters) {
    Map<String, Object> groups = new LinkedHashMap<>();
    if (counters == null) {
      return groups;
    }
    for (CounterGroup group : counters) {
      Map<String, Object> values = new LinkedHashMap<>();
      for (Counter counter : group) {
        values.put(counter.getName(), counter.getValue());
      }
      groups.put(group.getName(), values);
    }
    return groups;
  }

  public static String json(Object value) {
    if (value == null || value instanceof Number || value instanceof Boolean) {
      return String.valueOf(value);
    }
    if (value instanceof Map) {
      StringBuilder text = new StringBuilder("{");
      for (Map.Entry<?, ?> entry : ((Map<?, ?>) value).entrySet()) {
        text.append(text.length() > 1 ? "," : "");
        text.append(quoted(String.valueOf(entry.getKey()))).append(':').append(json(entry.getValue()));
      }
      return text.append('}').toString();
    }
    return quoted(value.toString());
  }

  private static String quoted(String text) {
    StringBuilder out = new StringBuilder("\"");
    for (char c : text.toCharArray()) {
      if (c == '"' || c == '\\') {
        out.append('\\').append(c);
      } else if (c < ' ') {
        out.append(String.format("\\u%04x", (int) c));
      } else {
        out.append(c);
      }
    }
    return out.append('"').toString();
  }

  @Override
  public synchronized void close() throws IOException {
    out.close();
  }
}
