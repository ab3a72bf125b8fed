package framework.mapreduce;

/** The benchmarks by name. Each runs its measured jobs, then the jobs that check its output. */
final class Benchmarks {
  private Benchmarks() {}

  static void run(Jobs jobs, String name) throws Exception {
    switch (name) {
      case "wordcount":
        WordCount.run(jobs);
        break;
      case "sort":
        LineSort.run(jobs);
        break;
      case "terasort":
        TeraSort.run(jobs);
        break;
      case "grep":
        Grep.run(jobs);
        break;
      case "pagerank":
        PageRank.run(jobs);
        break;
      case "kmeans":
        KMeans.run(jobs);
        break;
      case "dfsio":
        DfsIo.run(jobs);
        break;
      default:
        throw new JobFailedException("no benchmark named " + name);
    }
  }
}
