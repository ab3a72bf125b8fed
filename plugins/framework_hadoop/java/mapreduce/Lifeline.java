package framework.mapreduce;

import java.io.IOException;

/** Ends this process when the one that started it is gone: standard input is a pipe that only it holds open. */
public final class Lifeline {
  private static final int ORPHANED = 97;

  private Lifeline() {}

  /** Watches standard input from a daemon thread, if the backend asked for it. */
  public static void watch() {
    if (System.getenv("FRAMEWORK_LIFELINE") == null) {
      return;
    }
    Thread watcher = new Thread(Lifeline::untilEndOfInput, "lifeline");
    watcher.setDaemon(true);
    watcher.start();
  }

  private static void untilEndOfInput() {
    try {
      while (System.in.read() >= 0) {
        // nothing is ever written: only the end of the stream matters
      }
    } catch (IOException closed) {
      // as good as the end
    }
    Jobs.killRunning();
    Runtime.getRuntime().halt(ORPHANED);
  }
}
