package framework.spark;

import framework.mapreduce.FileIo;
import framework.mapreduce.Report;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.Path;
import org.apache.spark.api.java.JavaSparkContext;

/** TestDFSIO with one Spark task a file: a job that writes, then a job that reads. */
final class SparkDfsIo {
  private SparkDfsIo() {}

  static void run(JavaSparkContext spark, Configuration conf, Report report) throws Exception {
    Path folder = new Path(conf.get("framework.output"), "files");
    int files = conf.getInt("framework.parts", 1);
    List<Long> numbers = new ArrayList<>();
    for (long i = 0; i < files; i++) {
      numbers.add(i);
    }
    Map<String, String> settings = new HashMap<>();
    conf.forEach(entry -> settings.put(entry.getKey(), entry.getValue()));
    for (boolean write : new boolean[] {true, false}) {
      List<FileIo.Moved> moved =
          spark.parallelize(numbers, files).map(number -> one(settings, folder.toString(), number, write)).collect();
      String way = write ? "WRITE_" : "READ_";
      report.fact(way + "BYTES", moved.stream().mapToLong(file -> file.bytes).sum());
      report.fact(way + "MICROS", moved.stream().mapToLong(file -> file.micros).sum());
      report.fact(way + "RATE", moved.stream().mapToLong(FileIo.Moved::rate).sum());
      report.fact(way + "CHECKSUM", moved.stream().mapToLong(file -> file.checksum).sum());
    }
    folder.getFileSystem(conf).delete(folder, true);
  }

  private static FileIo.Moved one(Map<String, String> settings, String folder, long number, boolean write)
      throws Exception {
    Configuration conf = new Configuration(false);
    settings.forEach(conf::set);
    return write ? FileIo.write(conf, new Path(folder), number) : FileIo.read(conf, new Path(folder), number);
  }
}
