package framework.spark;

import java.io.Serializable;
import java.util.Arrays;

/** A record's key, compared byte by byte without sign. */
final class Key implements Comparable<Key>, Serializable {
  private static final long serialVersionUID = 1L;
  final byte[] bytes;

  Key(byte[] bytes) {
    this.bytes = bytes;
  }

  @Override
  public int compareTo(Key other) {
    return Arrays.compareUnsigned(bytes, other.bytes);
  }

  @Override
  public boolean equals(Object other) {
    return other instanceof Key && Arrays.equals(bytes, ((Key) other).bytes);
  }

  @Override
  public int hashCode() {
    return Arrays.hashCode(bytes);
  }
}
