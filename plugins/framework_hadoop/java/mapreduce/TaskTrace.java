package framework.mapreduce;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.hadoop.mapreduce.Mapper;
import org.apache.hadoop.mapreduce.Reducer;
import org.apache.hadoop.mapreduce.TaskAttemptContext;
import org.apache.hadoop.mapreduce.TaskAttemptID;
import org.apache.hadoop.mapreduce.TaskCounter;
import org.apache.hadoop.mapreduce.TaskInputOutputContext;

/**
 * When each task of the local job runner began, ran and ended, and its own counters.
 *
 * <p>LocalJobRunner keeps no task reports and no job history, so the tasks tell themselves:
 * {@link TracingCommitters} knows when a task is set up and when it is done, {@link Traced} when its map or reduce
 * function runs. On a cluster the tasks run elsewhere and the .jhist file has the same facts.
 */
final class TaskTrace {
  private static final TaskCounter[] COUNTERS = {
    TaskCounter.MAP_INPUT_RECORDS, TaskCounter.MAP_OUTPUT_RECORDS, TaskCounter.MAP_OUTPUT_BYTES,
    TaskCounter.MAP_OUTPUT_MATERIALIZED_BYTES, TaskCounter.REDUCE_INPUT_RECORDS,
    TaskCounter.REDUCE_OUTPUT_RECORDS, TaskCounter.REDUCE_SHUFFLE_BYTES, TaskCounter.SPILLED_RECORDS,
    TaskCounter.COMBINE_INPUT_RECORDS, TaskCounter.GC_TIME_MILLIS,
  };

  private static final Map<TaskAttemptID, TaskTrace> TRACES = new ConcurrentHashMap<>();

  private final TaskAttemptID attempt;
  private final long startedMs = System.currentTimeMillis();
  private volatile long functionStartedMs;
  private volatile long functionFinishedMs;
  private volatile long finishedMs;
  private volatile boolean succeeded;
  private volatile TaskInputOutputContext<?, ?, ?, ?> context;
  private final Map<String, Object> counters = new LinkedHashMap<>();

  private TaskTrace(TaskAttemptID attempt) {
    this.attempt = attempt;
  }

  static void clear() {
    TRACES.clear();
  }

  static void begin(TaskAttemptContext task) {
    TRACES.put(task.getTaskAttemptID(), new TaskTrace(task.getTaskAttemptID()));
  }

  static void end(TaskAttemptContext task, boolean succeeded) {
    TaskTrace trace = TRACES.get(task.getTaskAttemptID());
    if (trace != null && trace.finishedMs == 0) {
      trace.finishedMs = System.currentTimeMillis();
      trace.succeeded = succeeded;
      trace.takeCounters();
    }
  }

  private static void function(TaskInputOutputContext<?, ?, ?, ?> context, boolean begins) {
    TaskTrace trace = TRACES.get(context.getTaskAttemptID());
    if (trace == null) {
      return;
    }
    trace.context = context;
    if (begins) {
      trace.functionStartedMs = System.currentTimeMillis();
    } else {
      trace.functionFinishedMs = System.currentTimeMillis();
    }
  }

  static List<Map<String, Object>> finished() {
    List<Map<String, Object>> lines = new ArrayList<>();
    for (TaskTrace trace : TRACES.values()) {
      lines.add(trace.line());
    }
    return lines;
  }

  private Map<String, Object> line() {
    Map<String, Object> line = new LinkedHashMap<>();
    line.put("task_id", attempt.getTaskID().toString());
    line.put("attempt", attempt.getId());
    line.put("kind", attempt.getTaskType().name().toLowerCase());
    line.put("started_ms", startedMs);
    line.put("function_started_ms", functionStartedMs == 0 ? null : functionStartedMs);
    line.put("function_finished_ms", functionFinishedMs == 0 ? null : functionFinishedMs);
    line.put("finished_ms", finishedMs == 0 ? null : finishedMs);
    line.put("succeeded", succeeded);
    line.put("counters", counters);
    return line;
  }

  /** Copies the task's counters and lets go of its context, which holds the whole sort buffer. */
  private void takeCounters() {
    if (context != null) {
      for (TaskCounter name : COUNTERS) {
        counters.put(name.name(), context.getCounter(name).getValue());
      }
      context = null;
    }
  }

  /** Mappers and reducers whose function's begin and end are traced. */
  static final class Traced {
    private Traced() {}

    /** A mapper that tells when its map function begins and ends. */
    static class MapperOf<K, V, L, W> extends Mapper<K, V, L, W> {
      @Override
      public void run(Context context) throws java.io.IOException, InterruptedException {
        function(context, true);
        super.run(context);
        function(context, false);
      }
    }

    /** A reducer that tells when its input is merged (the reduce function begins) and when it ends. */
    static class ReducerOf<K, V, L, W> extends Reducer<K, V, L, W> {
      @Override
      public void run(Context context) throws java.io.IOException, InterruptedException {
        function(context, true);
        super.run(context);
        function(context, false);
      }
    }
  }
}
