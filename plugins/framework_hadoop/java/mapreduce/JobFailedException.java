package framework.mapreduce;

/** A MapReduce job ended in another state than SUCCEEDED. */
public final class JobFailedException extends Exception {
  private static final long serialVersionUID = 1L;

  public JobFailedException(String message) {
    super(message);
  }
}
